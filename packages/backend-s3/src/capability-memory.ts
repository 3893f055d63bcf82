import { type BackendGuarantees, type BackendOptions, CacheFile } from '@s3lo/core/plugin'

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
  readonly #file: CacheFile
  readonly #now: () => number

  constructor(env: BackendOptions['env'], now: () => number = Date.now) {
    this.#file = new CacheFile(env, 'capabilities.json', MAX_FILE_BYTES)
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
    const { createOnly, compareAndSwap, deadlines } = guarantees
    const entries = await this.#read()
    entries.delete(store)
    entries.set(store, { createOnly, compareAndSwap, deadlines, at: this.#now() })
    const valid = [...entries].filter(([, entry]) => this.#isValid(entry)).slice(-MOST_ENTRIES)
    await this.#file.write(Object.fromEntries(valid))
  }

  #isValid({ at }: Entry): boolean {
    const age = this.#now() - at
    return age >= 0 && age < MAX_AGE_MS
  }

  async #read(): Promise<Map<string, Entry>> {
    const kept = await this.#file.read()
    const entries = typeof kept === 'object' && kept !== null ? Object.entries(kept) : []
    return new Map(entries.filter((entry): entry is [string, Entry] => isEntry(entry[1])))
  }
}

function isEntry(value: unknown): value is Entry {
  if (typeof value !== 'object' || value === null) return false
  const entry = value as { readonly [name: string]: unknown }
  const facts = [entry['createOnly'], entry['compareAndSwap'], entry['deadlines']]
  return facts.every((fact) => typeof fact === 'boolean') && typeof entry['at'] === 'number'
}
