import { S3loError } from '../errors.ts'
import { formatPath, type FoundFile } from '../filesystem/merged-files.ts'
import type { Reference } from '../oci/reference.ts'
import type { ImageStore } from '../store/image-store.ts'
import { decodeText } from '../tar/byte-text.ts'
import {
  type ImageFiles,
  type ImageFilesOptions,
  type NamedLayerReader,
  openImageFiles,
} from './image-files.ts'

/** One file of an image; field names are those of `--output json`. */
export interface ListedFile {
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink' | 'character-device' | 'block-device' | 'fifo'
  /** Bytes; 0 for anything but a file. */
  readonly size: number
  /** Octal, with the set-id and sticky bits: `0755`. */
  readonly mode: string
  readonly uid: number
  readonly gid: number
  /** RFC 3339; absent for a directory that no layer names. */
  readonly modified_at?: string
  /** Of a symbolic link. */
  readonly target?: string
  /** Digest of the layer that it is seen from. */
  readonly layer: string
}

const TYPES = {
  reg: 'file',
  hardlink: 'file',
  dir: 'directory',
  symlink: 'symlink',
  char: 'character-device',
  block: 'block-device',
  fifo: 'fifo',
} as const

/**
 * Lists a directory of an image as a running container sees it, or the one file that the path
 * leads to. Throws `NOT_FOUND`.
 */
export async function files(
  store: ImageStore,
  reference: Reference,
  directory = '/',
  options: ImageFilesOptions & { readonly reader?: NamedLayerReader | undefined } = {},
): Promise<readonly ListedFile[]> {
  const image = await openImageFiles(store, reference, options.reader, () => false, options)
  try {
    return await listFiles(image, directory)
  } finally {
    image.close()
  }
}

async function listFiles(image: ImageFiles, directory: string): Promise<readonly ListedFile[]> {
  if (image.layers.length === 0) {
    throw new S3loError('NOT_FOUND', 'the image has no layers')
  }
  for (;;) {
    const [result] = await Promise.allSettled([look(image, directory)])
    if (!(await image.probe())) continue
    if (result.status === 'rejected') throw result.reason
    return result.value.map((file) => toListed(file, image))
  }
}

async function look({ files: merged }: ImageFiles, path: string): Promise<readonly FoundFile[]> {
  const found = await merged.resolve(path)
  return found.isDirectory ? merged.list(found) : [found]
}

function toListed({ path, isDirectory, entry, layer }: FoundFile, image: ImageFiles): ListedFile {
  const type = isDirectory || !entry ? 'directory' : TYPES[entry.type]
  return {
    path: formatPath(path),
    type,
    size: type === 'file' ? (entry?.size ?? 0) : 0,
    mode: ((entry?.mode ?? 0o755) & 0o7777).toString(8).padStart(4, '0'),
    uid: entry?.uid ?? 0,
    gid: entry?.gid ?? 0,
    ...(entry?.modTime ? { modified_at: entry.modTime } : {}),
    ...(type === 'symlink' && entry ? { target: decodeText(entry.linkname) } : {}),
    layer: image.layers[layer]?.digest ?? '',
  }
}
