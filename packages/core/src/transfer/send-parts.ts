import type { Lanes } from './lanes.ts'
import type { BufferPool, Part } from './parts.ts'

/** How parts are sent. */
export interface SendPartsOptions {
  /** Sends one part; counted from 0. */
  readonly send: (bytes: Uint8Array, index: number, signal: AbortSignal) => Promise<void>
  /** Runs when a part could not be sent, so that the reader that waits for more of the body stops. */
  readonly stopReading: (error: Error) => void
  readonly lanes: Lanes
  /** Gets the memory of sent parts back; only for parts that came out of it. */
  readonly pool?: BufferPool | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was sent. */
export interface SentParts {
  readonly count: number
  /** Bytes. */
  readonly size: number
}

/**
 * Sends `first` and `others`, several at once as far as memory goes. When one fails the rest are
 * aborted; nothing is under way any more when it returns or throws.
 */
export async function sendParts(
  first: Part,
  others: AsyncIterable<Part>,
  { send, stopReading, lanes, pool, signal: outer }: SendPartsOptions,
): Promise<SentParts> {
  const failure = new AbortController()
  const signal = outer ? AbortSignal.any([outer, failure.signal]) : failure.signal
  const underWay = new Set<Promise<void>>()
  let count = 0
  let size = 0
  const start = (bytes: Uint8Array, reserved: number): void => {
    const part = send(bytes, count, signal)
      .then(
        () => pool?.give(bytes),
        (error: unknown) => {
          failure.abort(error)
          stopReading(error instanceof Error ? error : new Error('a part could not be sent'))
        },
      )
      .finally(() => {
        underWay.delete(part)
        lanes.giveBack(reserved)
      })
    count += 1
    size += bytes.byteLength
    underWay.add(part)
  }
  let reserved = first.bytes.byteLength
  lanes.take(reserved)
  // Each part has its memory before it is read. Most are as long as the one before.
  const startWithNext = async ({ bytes, isLast }: Part): Promise<void> => {
    start(bytes, reserved)
    reserved = 0
    if (!isLast) reserved = await reserve(lanes, bytes.byteLength, underWay)
  }
  try {
    await startWithNext(first)
    if (!first.isLast) {
      for await (const part of others) {
        signal.throwIfAborted()
        await startWithNext(part)
      }
    }
  } catch (error) {
    failure.abort(error)
  } finally {
    lanes.giveBack(reserved)
  }
  // Nothing may be left running, whether it went well or not.
  await Promise.all(underWay)
  signal.throwIfAborted()
  return { count, size }
}

/** Waits until `bytes` fit; a transfer with nothing under way does not wait. */
async function reserve(
  lanes: Lanes,
  bytes: number,
  underWay: ReadonlySet<Promise<void>>,
): Promise<number> {
  while (underWay.size > 0) {
    if (lanes.tryTake(bytes)) return bytes
    await Promise.race(underWay)
  }
  lanes.take(bytes)
  return bytes
}
