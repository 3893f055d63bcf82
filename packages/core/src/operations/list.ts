import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { readLegacyNames } from '../store/legacy-tags.ts'
import { readTagNames } from '../store/tags.ts'

/** An image and its tags, both sorted by bytes; field names are those of `--output json`. */
export interface ListedImage {
  readonly name: string
  readonly tags: readonly string[]
}

/**
 * The images of a store, of both layouts. `filter` is empty or ends in `/`: `team/` selects the
 * image `team` and every image below it. Names only: no manifest is read.
 */
export async function list(
  backend: StorageBackend,
  filter = '',
  options: CallOptions = {},
): Promise<readonly ListedImage[]> {
  const images = new Map<string, Set<string>>()
  function add(image: string, tag: string): void {
    const tags = images.get(image)
    if (tags) tags.add(tag)
    else images.set(image, new Set([tag]))
  }
  for await (const { image, tag } of readTagNames(backend, filter, options)) add(image, tag)
  for await (const { image, tag } of readLegacyNames(backend, filter, options)) add(image, tag)
  return [...images]
    .map(([name, tags]) => ({ name, tags: [...tags].toSorted(byBytes) }))
    .toSorted((a, b) => byBytes(a.name, b.name))
}

/** Go's order: by UTF-8 bytes, which differs from UTF-16 beyond the basic plane. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
