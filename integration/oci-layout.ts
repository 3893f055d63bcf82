import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageFixture } from '@s3lo/core/testing'

/** Writes an image as an OCI layout (image-spec 1.1, image-layout.md) with one tag. */
export async function writeOciLayout(
  folder: string,
  tag: string,
  { root, content }: ImageFixture,
): Promise<void> {
  const blobs = join(folder, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  for (const [digest, bytes] of [...content, [root.descriptor.digest, root.content] as const]) {
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes)
  }
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  const manifests = [{ ...root.descriptor, annotations }]
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}
