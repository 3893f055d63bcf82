/**
 * What `work` comes to, or an error as soon as the signal is aborted: some libraries do not stop by
 * themselves, as when they look for credentials, but no caller has to wait for them.
 */
export async function untilAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (!signal) return work
  const aborted = Promise.withResolvers<never>()
  const stop = (): void => aborted.reject(new Error('the request was aborted'))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
