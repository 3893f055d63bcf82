import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import {
  type BackendGuarantees,
  type BackendOptions,
  makeFolder,
  readBoundedFile,
} from '@s3lo/core/plugin'

/** How long what was found out about a bucket holds: services are upgraded. */
const MAX_AGE_MS = 7 * 24 * 3600 * 1000
const MAX_FILE_BYTES = 1024 * 1024
const MOST_ENTRIES = 500

interface Entry extends BackendGuarantees {
  /** When it was found out, as milliseconds since 1970 by this machine's clock. */
  readonly at: number
}

/**
 * What stores were found to guarantee, kept in the user's cache folder. It only spares time: a file
 * that is missing, foreign or cannot be written means that the store is asked again.
 */
export class CapabilityMemory {
  readonly #file: string | undefined
  readonly #now: () => number

  constructor(env: BackendOptions['env'], now: () => number = Date.now) {
    const folder = cacheFolder(env)
    this.#file = folder === undefined ? undefined : join(folder, 's3lo', 'capabilities.json')
    this.#now = now
  }

  /** What was found out about `store` in the last seven days. */
  async recall(store: string): Promise<BackendGuarantees | undefined> {
    const entry = (await this.#read()).get(store)
    if (!entry || !this.#isValid(entry)) return undefined
    const { createOnly, compareAndSwap, deadlines } = entry
    return { createOnly, compareAndSwap, deadlines }
  }

  /** Keeps what was found out about `store`, and forgets what is too old. */
  async remember(store: string, guarantees: BackendGuarantees): Promise<void> {
    if (this.#file === undefined) return
    const { createOnly, compareAndSwap, deadlines } = guarantees
    const entries = await this.#read()
    entries.delete(store)
    entries.set(store, { createOnly, compareAndSwap, deadlines, at: this.#now() })
    const valid = [...entries].filter(([, entry]) => this.#isValid(entry)).slice(-MOST_ENTRIES)
    const temporary = `${this.#file}.${randomUUID()}`
    try {
      await makeFolder(join(this.#file, '..'), { mode: 0o700 })
      await writeFile(temporary, JSON.stringify(Object.fromEntries(valid)), { mode: 0o600 })
      await rename(temporary, this.#file)
    } catch {
      // A folder that cannot be written to is no reason to fail: the next run asks again.
      await rm(temporary, { force: true }).catch(() => {})
    }
  }

  #isValid({ at }: Entry): boolean {
    const age = this.#now() - at
    return age >= 0 && age < MAX_AGE_MS
  }

  async #read(): Promise<Map<string, Entry>> {
    if (this.#file === undefined) return new Map()
    try {
      const text = (await readBoundedFile(this.#file, MAX_FILE_BYTES)).toString('utf8')
      const parsed: unknown = JSON.parse(text)
      const entries = typeof parsed === 'object' && parsed !== null ? Object.entries(parsed) : []
      return new Map(entries.filter((entry): entry is [string, Entry] => isEntry(entry[1])))
    } catch {
      // Missing or damaged: nothing is remembered.
      return new Map()
    }
  }
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false
  const entry = value as { readonly [name: string]: unknown }
  const facts = [entry['createOnly'], entry['compareAndSwap'], entry['deadlines']]
  return facts.every((fact) => typeof fact === 'boolean') && typeof entry['at'] === 'number'
}

function cacheFolder(env: BackendOptions['env']): string | undefined {
  const named = process.platform === 'win32' ? env['LOCALAPPDATA'] : env['XDG_CACHE_HOME']
  if (named) return named
  const home = env['HOME'] || homedir()
  return home ? join(home, '.cache') : undefined
}
