import type { CallOptions } from '../contract/call-options.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type {
  BackendGuarantees,
  StorageBackend,
  WriteCondition,
} from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { historyKey } from '../layout/keys.ts'
import { asArray, asObject, asSize, asString, parseJson } from '../oci/json.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { provenGuarantees } from './guarantees.ts'
import { readVersion } from './read-object.ts'

/** One write of a tag, as `history.json` records it: the field names are the file's. */
export interface HistoryEntry {
  /** RFC 3339, UTC, whole seconds. */
  readonly pushed_at: string
  readonly digest: string
  readonly size_bytes: number
  /** The tag was immutable and the write was forced. */
  readonly forced?: true
}

/** A history of more than this is not read (bytes): about 150 000 writes of one tag. */
const MAX_HISTORY_BYTES = 32 * 1024 * 1024

/** How often a lost race for the file is run again before giving up. */
const MAX_ATTEMPTS = 16

/** A tag's history, newest first; empty when there is none. Throws `INTEGRITY`. */
export async function readHistory(
  backend: StorageBackend,
  key: string,
  options?: CallOptions,
): Promise<readonly HistoryEntry[]> {
  const file = await readVersion(backend, key, MAX_HISTORY_BYTES, options)
  return file ? parseFile(file.content, key).map((value, i) => toEntry(value, `${key}[${i}]`)) : []
}

/** A write of a tag that has taken place. */
export interface TagWritten extends CallOptions, ProgressOptions {
  readonly digest: string
  readonly at: Date
  /** Bytes. */
  readonly imageSize?: number | undefined
  readonly forced?: boolean | undefined
}

/**
 * Records a write in the tag's history. The tag is published: that its record failed is worth a
 * notice, not a failed push.
 */
export async function recordWrite(
  backend: StorageBackend,
  reference: Reference,
  { at, digest, imageSize = 0, forced = false, signal, onProgress }: TagWritten,
): Promise<void> {
  const name = formatImageName(reference)
  const tell = (code: string, message: string): void =>
    onProgress?.({ type: 'notice', code, message })
  try {
    const entry = historyEntry(at, digest, imageSize, forced)
    if (!(await appendHistory(backend, reference, entry, { signal }))) return
    tell(
      'history-mended',
      `the history of ${name} was damaged: what could not be read is gone from it`,
    )
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    tell('history-not-recorded', `history of ${name} was not recorded: ${reason}`)
  }
}

/**
 * Puts an entry on top of a tag's history; a concurrent writer's entry is kept wherever the store
 * can compare and swap. Of a damaged file the entries that can be read are kept. Returns true when
 * others were lost by that. Throws `INTEGRITY` for a file that is too large to be read.
 */
export async function appendHistory(
  backend: StorageBackend,
  reference: Reference,
  entry: HistoryEntry,
  options?: CallOptions,
): Promise<boolean> {
  const key = historyKey(reference)
  const guarantees = await provenGuarantees(backend, options)
  for (let attempt = 1; ; attempt++) {
    const file = await readVersion(backend, key, MAX_HISTORY_BYTES, options)
    const { raw, isDamaged } = file ? salvage(file.content, key) : NOTHING
    const content = new TextEncoder().encode(JSON.stringify([entry, ...raw]))
    try {
      await backend.put(key, content, {
        ...options,
        ...conditionFor(guarantees, file?.info.etag),
      })
      return isDamaged
    } catch (error) {
      if (!isS3loError(error, 'CONFLICT') || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

/** A new entry for a write at `at`. */
export function historyEntry(
  at: Date,
  digest: string,
  sizeBytes: number,
  forced: boolean,
): HistoryEntry {
  const seconds = `${at.toISOString().slice(0, 19)}Z`
  const entry = { pushed_at: seconds, digest, size_bytes: sizeBytes }
  return forced ? { ...entry, forced: true } : entry
}

function conditionFor(
  guarantees: BackendGuarantees,
  etag: string | undefined,
): { readonly condition?: WriteCondition } {
  if (etag === undefined) return guarantees.createOnly ? { condition: { kind: 'absent' } } : {}
  return guarantees.compareAndSwap ? { condition: { kind: 'unchanged', etag } } : {}
}

interface Salvaged {
  /** As parsed from the file, members that we do not know included: they are written back. */
  readonly raw: readonly unknown[]
  /** There was more, which is no entry. */
  readonly isDamaged: boolean
}

const NOTHING: Salvaged = { raw: [], isDamaged: false }

function salvage(content: Uint8Array, key: string): Salvaged {
  try {
    const raw = parseFile(content, key)
    const sound = raw.filter((value) => isEntry(value, key))
    return { raw: sound, isDamaged: sound.length < raw.length }
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY')) throw error
    return { raw: [], isDamaged: true }
  }
}

function parseFile(content: Uint8Array, key: string): readonly unknown[] {
  return asArray(parseJson(content, key), key)
}

function isEntry(value: unknown, path: string): boolean {
  try {
    toEntry(value, path)
    return true
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return false
    throw error
  }
}

function toEntry(value: unknown, path: string): HistoryEntry {
  const object = asObject(value, path)
  const pushedAt = asString(object['pushed_at'], `${path}.pushed_at`)
  if (Number.isNaN(Date.parse(pushedAt))) {
    throw new S3loError('INTEGRITY', `${path}.pushed_at is not a time`)
  }
  const entry = {
    pushed_at: pushedAt,
    digest: asString(object['digest'], `${path}.digest`),
    size_bytes: asSize(object['size_bytes'], `${path}.size_bytes`),
  }
  return object['forced'] === true ? { ...entry, forced: true } : entry
}
