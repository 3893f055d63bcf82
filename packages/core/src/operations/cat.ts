import { S3loError } from '../errors.ts'
import { formatPath, type FoundFile } from '../filesystem/merged-files.ts'
import type { Reference } from '../oci/reference.ts'
import { formatImageName } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { encodeText } from '../tar/byte-text.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { type ImageFilesOptions, type NamedLayerReader, openImageFiles } from './image-files.ts'

/** Takes the content of the file, and resolves when all of it was taken. */
export type TakeContent = (content: AsyncIterable<Uint8Array>) => Promise<void>

/** Which file was read, and what that took; field names are those of `--output json`. */
export interface CatResult {
  readonly reference: string
  /** Where the file is, with every link followed. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** Digest of the layer that holds it. */
  readonly layer: string
  /** Bytes of layers and their indexes that were fetched. */
  readonly fetched_bytes: number
  /** Bytes of all layers of the platform. */
  readonly layers_bytes: number
}

/**
 * Reads one file of an image as a running container sees it. Throws `NOT_FOUND` where there is
 * none, `UNSUPPORTED` for what is no plain file.
 */
export async function cat(
  store: ImageStore,
  reference: Reference,
  path: string,
  take: TakeContent,
  options: ImageFilesOptions & { readonly reader?: NamedLayerReader | undefined } = {},
): Promise<CatResult> {
  const name = encodeText(path.split('/').findLast((part) => part !== '') ?? '')
  const isNamed = (entry: TocEntry): boolean =>
    entry.type === 'reg' && (entry.name === name || entry.name.endsWith(`/${name}`))
  const image = await openImageFiles(store, reference, options.reader, isNamed, options)
  const found = await image.files.resolve(path)
  const entry = fileOf(found, path)
  await take(image.read(found.layer, entry, { signal: options.signal }))
  return {
    reference: `${store.name}/${formatImageName(reference)}`,
    path: formatPath(found.path),
    size: entry.size,
    layer: image.layers[found.layer]?.digest ?? '',
    fetched_bytes: image.fetched(),
    layers_bytes: image.layers.reduce((sum, { size }) => sum + size, 0),
  }
}

function fileOf({ isDirectory, entry }: FoundFile, path: string): TocEntry {
  if (isDirectory || !entry) {
    throw new S3loError('UNSUPPORTED', `${path} is a directory`, {
      hint: `s3lo files <ref> ${path} lists it`,
    })
  }
  if (entry.isSparse) {
    throw new S3loError('UNSUPPORTED', `${path} is stored as a sparse file, which cannot be read`)
  }
  if (entry.type !== 'reg') {
    throw new S3loError('UNSUPPORTED', `${path} is no file but a device or pipe (${entry.type})`)
  }
  return entry
}
