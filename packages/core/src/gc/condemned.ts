import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { readObject } from '../store/read-object.ts'
import { CONDEMNED_PREFIX, condemnedKey, parseCondemnedKey } from './control-key.ts'
import { DigestSet } from './digest-set.ts'

const NAMES_PER_LIST = 10_000
const MAX_LIST_BYTES = NAMES_PER_LIST * 130

export interface CondemnedOptions {
  /** The store's time, milliseconds since 1970. */
  readonly now: number
  readonly graceMs: number
  /** Reads only. */
  readonly isDryRun: boolean
}

/**
 * Since when names are garbage, remembered from one collection to the next in lists of names whose
 * keys carry the store's time. It is for writers that know nothing of pins: the grace period that
 * they are given counts from here as well as from the object's age.
 *
 * A name that is in use again when a collection looks, which it does once it has read every
 * manifest, is struck off; one that was used and dropped between two such looks keeps its date.
 * Every name that is garbage is held, as those that are live are (see `DigestSet`).
 */
export class CondemnedNames {
  readonly #backend: StorageBackend
  readonly #now: number
  readonly #graceMs: number
  readonly #isDryRun: boolean
  readonly #matured = new DigestSet()
  readonly #waiting = new DigestSet()
  /** A list that is written anew may be listed once more. */
  readonly #maturedKeys = new Set<string>()
  #fresh: string[] = []

  constructor(backend: StorageBackend, { now, graceMs, isDryRun }: CondemnedOptions) {
    this.#backend = backend
    this.#now = now
    this.#graceMs = graceMs
    this.#isDryRun = isDryRun
  }

  /** Reads the lists, and writes those anew that hold names which are in use. */
  async load(isLive: (name: string) => boolean, options: CallOptions = {}): Promise<void> {
    for await (const { key } of this.#backend.list(CONDEMNED_PREFIX, options)) {
      const since = parseCondemnedKey(key)
      const names = since === undefined ? undefined : await this.#read(key, options)
      if (since === undefined || !names) continue
      const garbage = names.filter((name) => !isLive(name))
      const isMature = since + this.#graceMs <= this.#now
      for (const name of garbage) (isMature ? this.#matured : this.#waiting).add(name)
      let current: string | undefined = key
      if (garbage.length < names.length && !this.#isDryRun) {
        current = await this.#write(since, garbage, options)
        await this.#remove([key], options)
      }
      if (isMature && current !== undefined) this.#maturedKeys.add(current)
    }
  }

  /** True when the name has been garbage for the grace period; otherwise it is from now on. */
  isMature(name: string): boolean {
    if (this.#graceMs <= 0 || this.#matured.has(name)) return true
    if (this.#waiting.add(name) && !this.#isDryRun) this.#fresh.push(name)
    return false
  }

  /** True when there are enough new names for a list, so that {@link flush} is due. */
  get isFull(): boolean {
    return this.#fresh.length >= NAMES_PER_LIST
  }

  /** Writes down the names that are garbage since now. */
  async flush(options: CallOptions): Promise<void> {
    await this.#write(this.#now, this.#fresh, options)
    this.#fresh = []
  }

  /** Forgets the dates of what a finished collection has dealt with: what is left starts anew. */
  async settle(options?: CallOptions): Promise<void> {
    if (this.#isDryRun) return
    await this.#remove([...this.#maturedKeys], options)
  }

  /** Returns the key; `undefined` where there are no names. */
  async #write(
    since: number,
    names: readonly string[],
    options: CallOptions,
  ): Promise<string | undefined> {
    if (names.length === 0) return undefined
    const id = process.getBuiltinModule('node:crypto').randomUUID().replaceAll('-', '')
    const content = new TextEncoder().encode(names.join('\n'))
    const key = condemnedKey(since, id)
    await this.#backend.put(key, content, {
      signal: options.signal,
      size: content.byteLength,
      mediaType: 'text/plain',
    })
    return key
  }

  /** A list that cannot be read condemns nothing. */
  async #read(key: string, options: CallOptions): Promise<readonly string[] | undefined> {
    try {
      const content = await readObject(this.#backend, key, MAX_LIST_BYTES, options)
      const names = content && new TextDecoder().decode(content).split('\n')
      return names?.every((name) => /^(?:[0-9a-f]{64}|[0-9a-f]{128})$/.test(name))
        ? names
        : undefined
    } catch (error) {
      if (isS3loError(error, 'INTEGRITY')) return undefined
      throw error
    }
  }

  async #remove(keys: readonly string[], options?: CallOptions): Promise<void> {
    if (keys.length === 0) return
    const [failure] = await this.#backend.delete(keys, options)
    if (failure) throw failure.error
  }
}
