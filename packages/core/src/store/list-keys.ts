import { type ListOptions, type StorageBackend, supports } from '../contract/storage-backend.ts'

/** The keys below a prefix, in key order, for a caller that needs no facts of the objects. */
export function listKeys(
  backend: StorageBackend,
  prefix: string,
  options?: ListOptions,
): AsyncIterable<string> {
  // Given on as it is: a generator around it costs each key several promises.
  if (supports(backend, 'listKeys')) return backend.listKeys(prefix, options)
  return keysOf(backend.list(prefix, options))
}

async function* keysOf(
  objects: AsyncIterable<{ readonly key: string }>,
): AsyncGenerator<string, void> {
  for await (const { key } of objects) yield key
}
