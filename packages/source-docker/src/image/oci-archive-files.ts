import {
  documentWith,
  ANNOTATION,
  type CallOptions,
  type Descriptor,
  type ImageSource,
  isManifestMediaType,
  type ManifestDocument,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPE,
  readAll,
  S3loError,
  successors,
} from '@s3lo/core'
import {
  blobPath,
  LAYOUT_INDEX,
  LAYOUT_MARKER,
  LAYOUT_MARKER_CONTENT,
} from '../layout/layout-files.ts'
import { abortable } from '../stream/abortable.ts'
import { inMemory, type TarFile } from '../tar/tar-writer.ts'

/** More blobs than any image has; a document that names more is hostile. */
const MAX_BLOBS = 100_000

/** By which names the archive's `index.json` calls the image. */
export interface LayoutNames {
  /** The tag. */
  readonly refName?: string | undefined
  /** The full name, without which containerd lists an image that cannot be found by name. */
  readonly imageName?: string | undefined
}

/**
 * The files of an OCI archive: the image bit for bit, with every platform of an index. What the
 * root names must be in the source. Documents come first, so that a reader of the stream knows early.
 */
export async function* ociArchiveFiles(
  root: ManifestDocument,
  source: Pick<ImageSource, 'fetch'>,
  names: LayoutNames,
  options: CallOptions = {},
): AsyncGenerator<TarFile> {
  yield inMemory(LAYOUT_MARKER, Buffer.from(LAYOUT_MARKER_CONTENT))
  yield inMemory(LAYOUT_INDEX, formatIndex(root.descriptor, names))
  yield* imageFiles(root, source, new Set([root.descriptor.digest]), options)
}

/** A document's own file, then what it names, each once. */
async function* imageFiles(
  { descriptor, content, manifest }: ManifestDocument,
  source: Pick<ImageSource, 'fetch'>,
  seen: Set<string>,
  { signal }: CallOptions,
): AsyncGenerator<TarFile> {
  yield inMemory(blobPath(descriptor.digest), content)
  for (const next of successors(manifest)) {
    if (seen.has(next.digest)) continue
    seen.add(next.digest)
    if (seen.size > MAX_BLOBS) {
      throw new S3loError('INTEGRITY', `${descriptor.digest} names more than ${MAX_BLOBS} blobs`)
    }
    if (isManifestMediaType(next.mediaType)) {
      const document = await fetchDocument(next, source, signal)
      yield* imageFiles(document, source, seen, { signal })
    } else {
      const { digest, size } = next
      yield { name: blobPath(digest), size, open: () => source.fetch(next, { signal }) }
    }
  }
}

async function fetchDocument(
  descriptor: Descriptor,
  source: Pick<ImageSource, 'fetch'>,
  signal: AbortSignal | undefined,
): Promise<ManifestDocument> {
  const stream = abortable(await source.fetch(descriptor, { signal }), signal)
  return documentWith(descriptor, await readAll(stream, MAX_MANIFEST_BYTES, descriptor.digest))
}

function formatIndex(
  { mediaType, digest, size }: Descriptor,
  { refName, imageName }: LayoutNames,
): Uint8Array {
  const annotations = {
    ...(imageName === undefined ? {} : { [ANNOTATION.containerdImageName]: imageName }),
    ...(refName === undefined ? {} : { [ANNOTATION.refName]: refName }),
  }
  const named = Object.keys(annotations).length > 0 ? { annotations } : {}
  const manifests = [{ mediaType, digest, size, ...named }]
  return Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests }),
  )
}
