import { Refusal } from '../answer/error.ts'

/** What a client is told to wait (seconds). */
const RETRY_SECONDS = 5

/**
 * Lets a judgement take `patience` milliseconds. Throws a refusal (503) where it takes longer, also
 * where it does not heed its signal, and the signal's reason where the client leaves.
 */
export async function withinTime<T>(
  judge: (signal: AbortSignal) => Promise<T>,
  patience: number,
  outer?: AbortSignal,
): Promise<T> {
  const controller = new AbortController()
  const late = new Refusal('DENIED', 'whether this is allowed took too long to find out', {
    status: 503,
    headers: { 'retry-after': RETRY_SECONDS },
  })
  const timer = setTimeout(() => controller.abort(late), patience)
  const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal
  signal.throwIfAborted()
  let leave = (): void => {}
  const left = new Promise<never>((_resolve, reject) => {
    leave = () => reject(signal.reason)
  })
  signal.addEventListener('abort', leave)
  try {
    return await Promise.race([judge(signal), left])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', leave)
  }
}
