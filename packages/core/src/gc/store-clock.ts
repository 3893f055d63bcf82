import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import { noteSkew } from './clock-skew.ts'
import { clockKey } from './control-key.ts'
import { fence } from './control-object.ts'

/**
 * The store's clock. It is read by writing: the `lastModified` that the store gives an object just
 * written is a moment between the request and its answer, as its `Date` header would be. This
 * machine's clock is asked for nothing. A reading is a {@link fence}: what is dead by it has done
 * all that it ever will. Writers under one name each, because some stores accept
 * one write a second to a name.
 */
export class StoreClock {
  readonly #backend: StorageBackend
  readonly #options: ProgressOptions
  readonly #key = clockKey(process.getBuiltinModule('node:crypto').randomUUID())
  #isWritten = false

  constructor(backend: StorageBackend, options: ProgressOptions = {}) {
    this.#backend = backend
    this.#options = options
  }

  /** Milliseconds since 1970; not later than the store's present time. One write. */
  async read({ signal }: CallOptions = {}): Promise<number> {
    const { deadlines } = await provenGuarantees(this.#backend, { signal })
    this.#isWritten = true
    const from = Date.now()
    const { lastModified } = await this.#backend.put(this.#key, new Uint8Array(0), {
      signal,
      size: 0,
      ...(deadlines && { notAfter: fence() }),
    })
    const time = lastModified.getTime()
    noteSkew(this.#backend, time, { from, to: Date.now() }, this.#options)
    return time
  }

  /** The objects to remove with one's own pin or round; none when the clock was never read. */
  keys(): readonly string[] {
    return this.#isWritten ? [this.#key] : []
  }
}

/**
 * The store's time without a write, for what only looks: milliseconds since 1970. It is this
 * machine's where the store does not tell.
 */
export async function peekTime(
  backend: StorageBackend,
  { signal, onProgress }: CallOptions & ProgressOptions = {},
): Promise<number> {
  const from = Date.now()
  const now = await backend.now?.({ signal })
  if (!now) return Date.now()
  noteSkew(backend, now.getTime(), { from, to: Date.now() }, { onProgress })
  return now.getTime()
}

/** The store's time, by one write that leaves nothing behind. */
export async function readTime(
  backend: StorageBackend,
  { signal, onProgress }: CallOptions & ProgressOptions = {},
): Promise<number> {
  const clock = new StoreClock(backend, { onProgress })
  try {
    return await clock.read({ signal })
  } finally {
    await backend.delete(clock.keys())
  }
}
