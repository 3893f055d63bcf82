/**
 * One process of the soak: pushes, deletes or collects in one store until its stdin ends, and tells
 * what came of each piece of work, a line of JSON each. Arguments: role, scheme, bucket, seed.
 */
import { openBackend as openLocal } from '@s3lo/backend-local'
import { openBackend as openS3 } from '@s3lo/backend-s3'
import {
  clean,
  copy,
  type Descriptor,
  deleteTag,
  ImageStore,
  type Reference,
  type StorageBackend,
} from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import {
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  referrerFixture,
} from '@s3lo/core/testing'
import { Readable } from 'node:stream'
import { randomOf } from './random.ts'

/** Pins and rounds live so long (seconds), and are dead for others so much later (milliseconds). */
export const TTL_SECONDS = 4
export const MARGIN_MS = 5000
/** Records of untagged images live so long (milliseconds) and a margin. */
export const LEAST_KEPT_MS = 12_000

/** What is cleaned, and when. */
export const CLEAN_OPTIONS = {
  confirm: true,
  only: 'blobs',
  graceMs: 0,
  // Tags come and go.
  expectFewer: true,
  config: { default: { lifecycle: { keepUntagged: '0' } }, images: {} },
  protocol: { ttlSeconds: TTL_SECONDS, marginMs: MARGIN_MS, leastKeptMs: LEAST_KEPT_MS },
} as const

/** Where images are that only keep being pushed and purged. */
export const PURGED = 'purged'

/** What the processes work on: few tags and few layers, so that they meet all the time. */
export const TAGS = ['t0', 't1', 't2', 't3', 't4', 't5']
const LAYERS = Array.from({ length: 10 }, (_, i) => Buffer.alloc(3000 + 700 * i, `layer ${i} `))
const IMAGES = 24

const PROTECTION = { ttlSeconds: TTL_SECONDS, marginMs: MARGIN_MS, pollMs: 300 }

/** What a piece of work came to. */
export interface Report {
  readonly work: 'push' | 'copy' | 'restore' | 'attach' | 'delete' | 'purge' | 'collect'
  /** An error's code, where it failed. */
  readonly failure?: string
  readonly message?: string
  /** Objects that were deleted. */
  readonly deleted?: number
}

/** Image `n`: three layers of the pool; every fourth is an index of two such. */
function soakImage(n: number): ImageFixture {
  if (n % 4 === 3) {
    return indexFixture({ 'linux/amd64': soakImage(n - 1), 'linux/arm64': soakImage(n - 2) })
  }
  const layers = [n, n * 3 + 1, n * 7 + 2].map((i) => pick(LAYERS, i))
  return imageFixture({ layers, label: `soak ${n}` })
}

/** The images by what they are published under. */
export const SOAK_IMAGES: readonly ImageFixture[] = Array.from({ length: IMAGES }, (_, n) =>
  soakImage(n),
)

export function openSoakBackend(scheme: string, bucket: string): Promise<StorageBackend> {
  const env = process.env
  return scheme === 's3'
    ? openS3({ scheme, bucket }, { env })
    : openLocal({ scheme, bucket }, { env })
}

export function openSoakStore(backend: StorageBackend): ImageStore {
  return new ImageStore(backend, { protection: PROTECTION })
}

class SoakWorker {
  readonly #backend: StorageBackend
  readonly #store: ImageStore
  readonly #random: () => number

  constructor(backend: StorageBackend, seed: number) {
    this.#backend = backend
    this.#store = openSoakStore(backend)
    this.#random = randomOf(seed)
  }

  async push(): Promise<Report> {
    const image = this.#pick(SOAK_IMAGES)
    const luck = this.#random()
    if (luck < 0.2) return this.#copy('copy', this.#tag())
    if (luck < 0.35) {
      const { digest } = image.root.descriptor
      return this.#copy('restore', { name: 'app', digest })
    }
    if (luck < 0.5) return this.#attach(image)
    const from = { source: new FixtureSource({ 'app:x': image }), reference: tagged('x') }
    const name = luck < 0.6 ? PURGED : 'app'
    await copy(from, { target: this.#store, reference: { ...this.#tag(), name } })
    return { work: 'push' }
  }

  async delete(): Promise<Report> {
    const isPurge = this.#random() < 0.3
    const work = isPurge ? 'purge' : 'delete'
    const name = isPurge ? PURGED : 'app'
    const { scheme, bucket } = this.#backend
    const reference = { scheme, bucket, image: name, ...this.#tag(), name }
    try {
      await deleteTag(this.#store, reference, { purge: isPurge, protection: PROTECTION })
      return { work }
    } catch (error) {
      return reportOf(work, error)
    }
  }

  async collect(): Promise<Report> {
    const result = await clean(this.#store, '', CLEAN_OPTIONS)
    const [unreadable] = result.unreadable
    const [failed] = result.failed
    const deleted = result.deleted + result.records_deleted
    if (unreadable) return { work: 'collect', failure: 'UNREADABLE', ...unreadable, deleted }
    // The round's end came first: its objects wait for the next one.
    if (failed) return { work: 'collect', failure: 'LATE', message: failed.message, deleted }
    return { work: 'collect', deleted }
  }

  async #copy(work: 'copy' | 'restore', reference: Reference): Promise<Report> {
    try {
      const from = { source: this.#store, reference }
      await copy(from, { target: this.#store, reference: this.#tag() })
      return { work }
    } catch (error) {
      return reportOf(work, error)
    }
  }

  async #attach({ root }: ImageFixture): Promise<Report> {
    const begun = this.#store.begin()
    const text = `about ${Math.floor(this.#random() * 4)}`
    const referrer = referrerFixture(root.descriptor, 'application/soak', text)
    const open = async ({ digest }: Descriptor): Promise<Readable> =>
      Readable.from([referrer.content.get(digest) ?? Buffer.alloc(0)])
    try {
      await begun.attach(referrer.root, { repository: 'app', subject: root.descriptor }, open)
      return { work: 'attach' }
    } catch (error) {
      return reportOf('attach', error)
    } finally {
      await begun.release()
    }
  }

  #tag(): Reference & { readonly tag: string } {
    return tagged(this.#pick(TAGS))
  }

  #pick<T>(items: readonly T[]): T {
    return pick(items, Math.floor(this.#random() * items.length))
  }
}

/** Round and round. */
function pick<T>(items: readonly T[], i: number): T {
  const item = items[i % items.length]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

function tagged(tag: string): Reference & { readonly tag: string } {
  return { name: 'app', tag }
}

function reportOf(work: Report['work'], error: unknown): Report {
  const failure = isS3loError(error) ? error.code : 'BUG'
  return { work, failure, message: String(error) }
}

const ROLES = { push: 'push', delete: 'delete', collect: 'collect' } as const

async function main([
  role,
  scheme = '',
  bucket = '',
  seed = '0',
]: readonly string[]): Promise<void> {
  const work = Object.values(ROLES).find((name) => name === role)
  if (!work) throw new Error(`no such role: ${role}`)
  const worker = new SoakWorker(await openSoakBackend(scheme, bucket), Number(seed))
  const end = new AbortController()
  process.stdin.on('end', () => end.abort()).resume()
  while (!end.signal.aborted) {
    const report = await worker[work]().catch((error: unknown) => reportOf(work, error))
    process.stdout.write(`${JSON.stringify(report)}\n`)
    // Lets the pushers get ahead: there is to be something to delete.
    if (work === 'delete') await new Promise((resolve) => setTimeout(resolve, 150))
  }
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2))
