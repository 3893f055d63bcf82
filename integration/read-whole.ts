import { ImageStore, type Reference, type StorageBackend } from '@s3lo/core'
import type { ImageFixture } from '@s3lo/core/testing'

/**
 * The digest that a tag names, after everything that it names was read and verified. Throws
 * `NOT_FOUND` and `INTEGRITY`, and for a digest that is none of the images'.
 */
export async function readWhole(
  backend: StorageBackend,
  reference: Reference,
  images: readonly ImageFixture[],
): Promise<string> {
  const store = new ImageStore(backend)
  const { digest } = (await store.read(reference)).descriptor
  await readContent(store, digest, images)
  return digest
}

/** Reads all content of an image, and verifies it. Throws as {@link readWhole}. */
export async function readContent(
  store: ImageStore,
  digest: string,
  images: readonly ImageFixture[],
): Promise<void> {
  const image = images.find(({ root }) => root.descriptor.digest === digest)
  if (!image) throw new Error(`${digest} is none of the images that were pushed`)
  for (const [blob, bytes] of image.content) {
    const descriptor = { mediaType: 'x', digest: blob, size: bytes.byteLength }
    for await (const _ of await store.fetch(descriptor));
  }
}
