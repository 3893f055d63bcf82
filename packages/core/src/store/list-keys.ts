import { type ListOptions, type StorageBackend, supports } from '../contract/storage-backend.ts'

/** The keys below a prefix, in key order, for a caller that needs no facts of the objects. */
export async function* listKeys(
  backend: StorageBackend,
  prefix: string,
  options?: ListOptions,
): AsyncGenerator<string, void> {
  if (supports(backend, 'listKeys')) yield* backend.listKeys(prefix, options)
  else for await (const { key } of backend.list(prefix, options)) yield key
}
