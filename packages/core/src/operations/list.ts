import type { StorageBackend } from '../contract/storage-backend.ts'
import { byUtf8 } from '../layout/key-order.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import { NameWindow, type WindowOptions } from '../store/name-window.ts'
import { readIntoWindow } from '../store/tags.ts'

/** An image and its tags, both sorted by bytes; field names are those of `--output json`. */
export interface ListedImage {
  readonly name: string
  readonly tags: readonly string[]
}

/** A window of the images by their names. */
export interface ListImagesOptions extends WindowOptions {
  /** The tags of what refers to images as well: cosign's, and indexes of referrers. */
  readonly all?: boolean | undefined
}

/**
 * The images of a store, of both layouts, or a window of them. `filter` is empty or ends in `/`:
 * `team/` selects the image `team` and every image below it. Names only: no manifest is read, and no
 * more names are held than twice those of a window.
 */
export async function list(
  backend: StorageBackend,
  filter = '',
  { all = false, ...options }: ListImagesOptions = {},
): Promise<readonly ListedImage[]> {
  const window = new NameWindow<Set<string>>(options)
  await readIntoWindow(
    backend,
    filter,
    window,
    options,
    () => new Set(),
    (tags, tag) => tags.add(tag),
    (tag) => all || !isReferrerTag(tag),
  )
  return Array.from(window.entries, ([name, tags]) => ({ name, tags: [...tags].toSorted(byUtf8) }))
}
