import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { provenGuarantees } from '../store/guarantees.ts'
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
  readonly #key = clockKey(process.getBuiltinModule('node:crypto').randomUUID())
  #isWritten = false

  constructor(backend: StorageBackend) {
    this.#backend = backend
  }

  /** Milliseconds since 1970; not later than the store's present time. One write. */
  async read({ signal }: CallOptions = {}): Promise<number> {
    const { deadlines } = await provenGuarantees(this.#backend, { signal })
    this.#isWritten = true
    const { lastModified } = await this.#backend.put(this.#key, new Uint8Array(0), {
      signal,
      size: 0,
      ...(deadlines && { notAfter: fence() }),
    })
    return lastModified.getTime()
  }

  /** The objects to remove with one's own pin or round; none when the clock was never read. */
  keys(): readonly string[] {
    return this.#isWritten ? [this.#key] : []
  }
}
