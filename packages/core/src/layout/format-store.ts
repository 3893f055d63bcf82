import type { StoreLocation } from '../contract/storage-backend.ts'
import { formatReference, parseStoreReference } from '../layout/store-reference.ts'

/** The text of a store, or of an image or glob in it, in a command. */
export function formatStore({ scheme, bucket }: StoreLocation, image = ''): string {
  const plain = `${scheme}://${bucket}/`
  // A root of several folders needs an empty component where it ends.
  const separator = parseStoreReference(plain).bucket === bucket ? '' : '/'
  return `${plain}${separator}${image}`
}

/** The text of a tag in a command. */
export function formatTag({ scheme, bucket }: StoreLocation, image: string, tag: string): string {
  return formatReference({ scheme, bucket, name: image, tag })
}
