/** What the processes of the soak share: how long things live, what is worked on, and how it is reported. */
import { openBackend as openLocal } from '@s3lo/backend-local'
import { openBackend as openS3 } from '@s3lo/backend-s3'
import { ImageStore, type RepositoryOptions, type StorageBackend } from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'

/** Pins and rounds live so long (seconds), and are dead for others so much later (milliseconds). */
export const TTL_SECONDS = 4
export const MARGIN_MS = 5000
/** Records of untagged images live so long (milliseconds) and a margin. */
export const LEAST_KEPT_MS = 12_000
/** So long (milliseconds) a client may name what it has sent. */
export const LINK_LIFE_MS = 20_000
/** Unfinished work is left alone for so long (milliseconds) while others work. */
const ABANDONED_AFTER_MS = 60_000
/** By which deletes are judged. */
export const LIFETIMES = {
  record: (): number => LEAST_KEPT_MS + MARGIN_MS,
  link: MARGIN_MS,
  abandoned: ABANDONED_AFTER_MS,
  isShared: true,
}

/** Times of objects are whole seconds on S3. */
export const TICK_MS = 2000

/** What is cleaned, and when. */
export const CLEAN_OPTIONS = {
  confirm: true,
  only: 'blobs',
  graceMs: 0,
  // Tags come and go.
  expectFewer: true,
  config: { default: { lifecycle: { keepUntagged: '0' } }, images: {} },
  protocol: {
    ttlSeconds: TTL_SECONDS,
    marginMs: MARGIN_MS,
    leastKeptMs: LEAST_KEPT_MS,
    abandonedAfterMs: ABANDONED_AFTER_MS,
  },
} as const

const POLL_MS = 300
export const PROTECTION = { ttlSeconds: TTL_SECONDS, marginMs: MARGIN_MS, pollMs: POLL_MS }
/** As a server waits, which answers a client in time. */
export const MAX_WAIT_MS = 8000
export const REPOSITORY_OPTIONS: RepositoryOptions = {
  marginMs: MARGIN_MS,
  pollMs: POLL_MS,
  maxWaitMs: MAX_WAIT_MS,
  linkLifeMs: LINK_LIFE_MS,
}

/** Few tags, so that the processes meet all the time. */
export const TAGS = ['t0', 't1', 't2', 't3', 't4', 't5']
/** Whose tags are read again and again; layers of the second are stored in chunks. */
export const REPOSITORIES = ['app', 'chunked', 'uploaded'] as const
/** Where images are that only keep being pushed and purged. */
export const PURGED = { plain: 'purged', chunked: 'chunked-purged' } as const
/** What the store is told: the layers of some images are in chunks, those of others are whole. */
export const SETTINGS = 'images:\n  chunked*: {chunked: true}\n  "*": {chunked: false}\n'

/** What a piece of work came to. */
export interface Report {
  readonly work:
    | 'push'
    | 'copy'
    | 'restore'
    | 'attach'
    | 'delete'
    | 'purge'
    | 'collect'
    | 'upload'
    | 'publish'
    | 'cancel'
    | 'abandon'
    | 'rival'
  /** An error's code, where it failed. */
  readonly failure?: string
  readonly message?: string
  /** Objects that were deleted, as the ledger names them. */
  readonly deletes?: Readonly<Record<string, number>>
  /** Deletes of what was alive. */
  readonly violations?: readonly string[]
}

/** Of work that failed. A writer that stood still for too long is late: no other refusal is expected. */
export function reportOf(work: Report['work'], error: unknown): Report {
  const message = String(error)
  if (!isS3loError(error)) return { work, failure: 'BUG', message }
  const isLate = error.code === 'FORBIDDEN' && /the deadline for .* has passed/.test(message)
  return { work, failure: isLate ? 'LATE' : error.code, message }
}

export function openSoakBackend(scheme: string, bucket: string): Promise<StorageBackend> {
  const env = process.env
  return scheme === 's3'
    ? openS3({ scheme, bucket }, { env })
    : openLocal({ scheme, bucket }, { env })
}

export function openSoakStore(backend: StorageBackend): ImageStore {
  return new ImageStore(backend, { protection: PROTECTION })
}
