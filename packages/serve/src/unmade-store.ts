import { BUCKET_CONFIG_KEY, isS3loError, type StorageBackend } from '@s3lo/core/plugin'

const LISTINGS = ['list', 'listKeys', 'listPrefixes'] as const

type Listing = (...given: unknown[]) => AsyncIterable<unknown>

/**
 * From now on a store that its first push makes, as a folder is, lists nothing before it, instead of
 * throwing `NOT_FOUND`: a registry has no user at hand whose path may be wrong. A bucket that is not
 * there stays an error.
 */
export function listNothingUnmade(backend: StorageBackend): void {
  for (const method of LISTINGS) {
    const list = backend[method] as Listing | undefined
    // A capability that is not there must not seem to be.
    if (list === undefined) continue
    const value: Listing = (...given) => ({
      [Symbol.asyncIterator]: () =>
        unlessUnmade(backend, list.apply(backend, given)[Symbol.asyncIterator]()),
    })
    Object.defineProperty(backend, method, { value, configurable: true, writable: true })
  }
}

/** The first step says whether the store is there; the others cost nothing more. */
function unlessUnmade<T>(backend: StorageBackend, entries: AsyncIterator<T>): AsyncIterator<T> {
  const first = async (): Promise<IteratorResult<T>> => {
    try {
      return await entries.next()
    } catch (error) {
      if (!isS3loError(error, 'NOT_FOUND')) throw error
      // It throws as well where there is no bucket.
      await backend.head(BUCKET_CONFIG_KEY)
      return { done: true, value: undefined }
    }
  }
  let hasBegun = false
  return {
    next() {
      if (hasBegun) return entries.next()
      hasBegun = true
      return first()
    },
    return: async () => (await entries.return?.()) ?? { done: true, value: undefined },
  }
}
