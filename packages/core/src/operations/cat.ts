import type { CallOptions } from '../contract/call-options.ts'
import { formatPath } from '../filesystem/merged-files.ts'
import type { Reference } from '../oci/reference.ts'
import { formatImageName } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { encodeText } from '../tar/byte-text.ts'
import type { TocEntry } from '../tar/toc-entry.ts'
import { ImageFile } from './image-file.ts'
import {
  type ImageFiles,
  type ImageFilesOptions,
  type NamedLayerReader,
  openImageFiles,
} from './image-files.ts'

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
  const { found, entry } = await takeFile(image, path, take, options).finally(() => image.close())
  return {
    reference: `${store.name}/${formatImageName(reference)}`,
    path: formatPath(found.path),
    size: entry.size,
    layer: image.layers[found.layer]?.digest ?? '',
    fetched_bytes: image.fetched(),
    layers_bytes: image.layers.reduce((sum, { size }) => sum + size, 0),
  }
}

async function takeFile(
  image: ImageFiles,
  path: string,
  take: TakeContent,
  { signal }: CallOptions,
): Promise<ImageFile> {
  const file = await ImageFile.find(image, path)
  await take(file.content({ signal }))
  return file
}
