import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import type { ScanTarget } from '../contract/scanner.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { blobKey } from '../layout/keys.ts'
import { type Descriptor, uniqueByDigest } from '../oci/descriptor.ts'
import { parseDigest } from '../oci/digest.ts'
import { type ManifestDocument, successors } from '../oci/document.ts'
import { formatPlatform } from '../oci/platform.ts'
import { BlobReport, reportPlan } from '../progress/blob-report.ts'

/** An image of one platform, to be put on disk. */
export interface LayoutContent {
  readonly name: string
  readonly manifest: ManifestDocument
  readonly source: ImageSource
  /** Where the source's blobs are objects, so that a local store can lend them. */
  readonly backend: StorageBackend
}

const BLOBS_AT_ONCE = 4

/**
 * Puts an image into a private temporary folder, as an OCI image layout, for `use`; the folder is
 * gone when this settles. Blobs of a store on the same file system are linked, not copied.
 */
export async function withImageLayout<T>(
  content: LayoutContent,
  use: (target: ScanTarget) => Promise<T>,
  options: CallOptions & ProgressOptions = {},
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 's3lo-image-'))
  try {
    await writeLayout(content, folder, options)
    return await use({ folder, name: content.name })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** OCI image spec v1.1.1, "image layout". */
async function writeLayout(
  { manifest, source, backend }: LayoutContent,
  folder: string,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<void> {
  const { descriptor, content } = manifest
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeContent(fileOf(folder, descriptor), content)
  const platform = descriptor.platform ? formatPlatform(descriptor.platform) : 'single'
  const blobs = uniqueByDigest(successors(manifest.manifest)).map((blob) => ({
    descriptor: blob,
    platform,
  }))
  reportPlan(blobs, { onProgress })
  await forEachConcurrent(
    blobs,
    BLOBS_AT_ONCE,
    async (blob, blobSignal) => {
      const report = new BlobReport(blob, { onProgress })
      report.start()
      const file = fileOf(folder, blob.descriptor)
      await mkdir(dirname(file), { recursive: true })
      const { digest, size } = blob.descriptor
      const linked = await backend.linkTo?.(blobKey(digest), file, { signal: blobSignal })
      if (linked?.size === size) return report.end('mount')
      if (linked) await rm(file)
      const body = report.meter(await source.fetch(blob.descriptor, { signal: blobSignal }))
      await pipeline(body, createWriteStream(file, { mode: 0o600 }), { signal: blobSignal })
      report.end('done')
    },
    signal,
  )
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [descriptor],
  }
  await writeFile(join(folder, 'index.json'), JSON.stringify(index))
}

async function writeContent(file: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, content)
}

function fileOf(folder: string, { digest }: Descriptor): string {
  const { algorithm, hex } = parseDigest(digest)
  return join(folder, 'blobs', algorithm, hex)
}
