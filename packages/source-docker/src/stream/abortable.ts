import type { Readable } from 'node:stream'

/**
 * Destroys the stream with the signal's reason when it is aborted, and gives the stream back.
 * Throws the reason when that has happened already.
 */
export function abortable<S extends Readable>(stream: S, signal: AbortSignal | undefined): S {
  if (!signal) return stream
  const abort = (): void => {
    stream.destroy(asError(signal.reason))
  }
  if (signal.aborted) stream.destroy()
  signal.throwIfAborted()
  // An abort may come before the stream is read: a later reader still gets the error.
  stream.on('error', () => {})
  signal.addEventListener('abort', abort, { once: true })
  stream.once('close', () => signal.removeEventListener('abort', abort))
  return stream
}

/** A reason to abort may be anything; a stream fails only with an error. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
