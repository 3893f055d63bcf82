import { BudgetShare, type ByteBudget } from '../concurrency/byte-budget.ts'
import type { BufferPool, Part } from './parts.ts'

/** A part on its way. */
export interface PlacedPart extends Part {
  /** Counted from 0. */
  readonly index: number
  /** Where it ends in the body, exclusive (bytes). */
  readonly end: number
}

/** How parts are sent. */
export interface SendPartsOptions {
  /** Sends one part. */
  readonly send: (part: PlacedPart, signal: AbortSignal) => Promise<void>
  /** One part after the other: the next one is read while one is sent. */
  readonly inOrder?: boolean | undefined
  /** Runs when a part could not be sent, so that the reader that waits for more of the body stops. */
  readonly stopReading: (error: Error) => void
  readonly budget: ByteBudget
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
  { send, inOrder = false, stopReading, budget, pool, signal: outer }: SendPartsOptions,
): Promise<SentParts> {
  const failure = new AbortController()
  const signal = outer ? AbortSignal.any([outer, failure.signal]) : failure.signal
  const underWay = new Set<Promise<void>>()
  let count = 0
  let size = 0
  let previous: Promise<void> = Promise.resolve()
  const start = ({ bytes, isLast }: Part, share: BudgetShare): void => {
    const placed = { bytes, isLast, index: count, end: size + bytes.byteLength }
    const sent = inOrder ? previous.then(() => sendNext(placed)) : send(placed, signal)
    const part = sent
      .then(
        () => pool?.give(bytes),
        (error: unknown) => {
          failure.abort(error)
          stopReading(error instanceof Error ? error : new Error('a part could not be sent'))
        },
      )
      .finally(() => {
        underWay.delete(part)
        share.giveBack()
      })
    previous = part
    count += 1
    size += bytes.byteLength
    underWay.add(part)
  }
  const sendNext = async (part: PlacedPart): Promise<void> => {
    signal.throwIfAborted()
    await send(part, signal)
  }
  let share = first.share ?? new BudgetShare(budget, first.bytes.byteLength)
  // Each part has its memory before it is read. Most are as long as the one before.
  const most = inOrder ? 2 : Infinity
  const startWithNext = async (part: Part): Promise<void> => {
    start(part, share)
    if (part.isLast) return
    while (underWay.size >= most) await Promise.race(underWay)
    share = await reserve(budget, part.bytes.byteLength, underWay)
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
  }
  // Nothing may be left running, whether it went well or not.
  await Promise.all(underWay)
  // Of a part that did not come.
  share.giveBack()
  signal.throwIfAborted()
  return { count, size }
}

/** Waits until `bytes` fit; a transfer with nothing under way does not wait. */
async function reserve(
  budget: ByteBudget,
  bytes: number,
  underWay: ReadonlySet<Promise<void>>,
): Promise<BudgetShare> {
  while (underWay.size > 0 && !budget.has(bytes)) await Promise.race(underWay)
  return new BudgetShare(budget, bytes)
}
