import { Readable } from 'node:stream'
import type { ByteBudget } from '../concurrency/byte-budget.ts'
import { toThrown } from './requests.ts'

/** A part of an object: `[start, end)`. */
interface PartRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/** What of an object follows the first part, and how it is asked for. */
export interface ParallelBodyOptions extends PartRange {
  /** Bytes of the budget that the first part holds: all of its own, or none. */
  readonly reserved: number
  /** Bytes of each further part, but for the last. */
  readonly partBytes: number
  /** Memory that this body shares with others. */
  readonly budget: ByteBudget
  /** Opens a part, which reads ahead so many bytes by itself; `undefined`: only what its reader waits for. */
  readonly openPart: (
    part: PartRange & { readonly readAhead: number | undefined },
    signal: AbortSignal,
  ) => Promise<Readable>
  readonly signal?: AbortSignal | undefined
}

/** A part that was asked for. */
interface PendingPart {
  /** Bytes of the budget that it holds. */
  readonly reserved: number
  stream?: Readable
}

/**
 * The bytes of a long object, which come by several requests at once and are given in order. How
 * many there are, and whether the one that is being read is read ahead, follows from the memory that is free.
 */
export class ParallelBody extends Readable {
  readonly #options: ParallelBodyOptions
  readonly #closing = new AbortController()
  readonly #pending: PendingPart[] = []
  #current: Readable
  #reserved: number
  #nextStart: number

  constructor(first: Readable, options: ParallelBodyOptions) {
    super()
    this.#options = options
    this.#current = first
    this.#nextStart = options.start
    this.#reserved = options.reserved
    this.#stopOn(options.signal)
    this.#listen()
  }

  override _read(): void {
    this.#fill()
    this.#current.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#closing.abort()
    this.#current.destroy()
    const { budget } = this.#options
    budget.giveBack(this.#reserved)
    for (const { stream, reserved } of this.#pending.splice(0)) {
      stream?.destroy()
      budget.giveBack(reserved)
    }
    done(error)
  }

  /** Asks for as many further parts as there is memory for. */
  #fill(): void {
    const { end, partBytes, budget } = this.#options
    while (!this.destroyed && this.#nextStart < end) {
      const part = { start: this.#nextStart, end: Math.min(this.#nextStart + partBytes, end) }
      const bytes = part.end - part.start
      if (!budget.tryTake(bytes)) return
      this.#ask(part, bytes)
    }
  }

  #ask(part: PartRange, reserved: number): void {
    this.#nextStart = part.end
    const pending: PendingPart = { reserved }
    this.#pending.push(pending)
    void this.#openPart(part, pending)
  }

  async #openPart(part: PartRange, pending: PendingPart): Promise<void> {
    try {
      const readAhead = pending.reserved || undefined
      const stream = await this.#options.openPart({ ...part, readAhead }, this.#closing.signal)
      if (this.destroyed) return void stream.destroy()
      pending.stream = stream
      // Nothing listens before the parts ahead of it are through.
      stream.on('error', (error) => this.destroy(error))
      if (this.#pending[0] === pending && this.#current.destroyed) this.#goOn()
      else stream.read(0)
    } catch (error) {
      const thrown = toThrown(error)
      this.destroy(thrown instanceof Error ? thrown : new Error(String(thrown)))
    }
  }

  #listen(): void {
    const source = this.#current
    source.on('data', (chunk: Uint8Array) => {
      if (!this.push(chunk)) source.pause()
    })
    source.on('error', (error) => this.destroy(error))
    source.once('close', () => {
      if (!this.destroyed) this.#goOn()
    })
    // Nothing flows before it is read.
    source.pause()
  }

  /** The current part is through. */
  #goOn(): void {
    const { end, partBytes, budget } = this.#options
    budget.giveBack(this.#reserved)
    this.#reserved = 0
    if (this.#pending.length === 0 && this.#nextStart === end) {
      this.push(null)
      return
    }
    this.#fill()
    if (this.#pending.length === 0) {
      const part = { start: this.#nextStart, end: Math.min(this.#nextStart + partBytes, end) }
      // There is none to spare, or `fill` had asked.
      this.#ask(part, budget.tryTake(part.end - part.start) ? part.end - part.start : 0)
    }
    const [next] = this.#pending
    // A part that is still being opened comes back here.
    if (!next?.stream) return
    this.#pending.shift()
    this.#reserved = next.reserved
    this.#current = next.stream
    this.#listen()
    this.#current.resume()
  }

  #stopOn(signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    const stop = (): void =>
      void this.destroy(
        signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)),
      )
    // A body that is not read yet must not crash the process; a later reader gets the error.
    this.on('error', () => {})
    this.once('close', () => signal.removeEventListener('abort', stop))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  }
}
