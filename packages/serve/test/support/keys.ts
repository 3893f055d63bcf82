/** Where a store of layout v1.1.0 has a blob. */
export function blobKeyOf(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}
