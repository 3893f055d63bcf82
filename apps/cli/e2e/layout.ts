import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { imageFixture } from '@s3lo/core/testing'

/** Writes an OCI layout of one small image by hand. Returns the manifest's digest. */
export async function writeLayout(path: string, tag: string): Promise<string> {
  const { root, content } = imageFixture({ layers: ['one', 'two'] })
  const blobs = join(path, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  for (const [digest, bytes] of [...content, [root.descriptor.digest, root.content] as const]) {
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes)
  }
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  const manifests = [{ ...root.descriptor, annotations }]
  await writeFile(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  return root.descriptor.digest
}
