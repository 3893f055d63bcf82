import { type Compression, compressionOf, MEDIA_TYPE, S3loError } from '@s3lo/core'
import { BLOCK_SIZE, hasTarChecksum } from '@s3lo/core/tar'

/** How many of the first bytes tell what content is. */
export const SNIFF_SIZE = BLOCK_SIZE

/** What content turns out to be; `unknown` is not compressed, and not seen to be a tar either. */
export type ContentForm = 'tar' | Compression | OtherCompression | 'json' | 'unknown'

/** Compressions that are recognised, so that messages name them; they are not read. */
type OtherCompression = 'bzip2' | 'xz' | 'lzma' | 'lzip' | 'lz4' | 'compress'

const MAGIC: readonly (readonly [form: OtherCompression, magic: readonly number[]])[] = [
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['compress', [0x1f, 0x9d]],
]

const WHITE_SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d])

/** Tells from its first bytes what content is: neither names nor media types are to be trusted. */
export function sniffForm(head: Uint8Array): ContentForm {
  if (hasTarChecksum(head)) return 'tar' // A tar whose first file is called "BZh…" is still a tar.
  const [other] = MAGIC.find(([, magic]) => magic.every((byte, i) => head[i] === byte)) ?? []
  const compressed = compressionOf(head) ?? other
  if (compressed) return compressed
  const first = head.find((byte) => !WHITE_SPACE.has(byte))
  return first === 0x7b || first === 0x5b ? 'json' : 'unknown'
}

const OTHERS: ReadonlySet<string> = new Set(MAGIC.map(([form]) => form))

/** True for a compression that is not read. */
function isOtherCompression(form: ContentForm): form is OtherCompression {
  return OTHERS.has(form)
}

/** The OCI media type of a layer of that form. Throws `UNSUPPORTED` where there is none. */
export function layerMediaType(form: ContentForm, name: string): string {
  if (form === 'gzip') return MEDIA_TYPE.ociLayerGzip
  if (form === 'zstd') return MEDIA_TYPE.ociLayerZstd
  if (!isOtherCompression(form)) return MEDIA_TYPE.ociLayer
  throw new S3loError('UNSUPPORTED', `layer ${name} is compressed with ${form}`, {
    hint: 'OCI images have layers that are plain, gzip or zstd',
  })
}

/**
 * How an archive is compressed as a whole, by its first bytes; `undefined` where it is not. Throws
 * `UNSUPPORTED`, naming the compression, for one that is not read.
 */
export function archiveCompression(head: Uint8Array, archive: string): Compression | undefined {
  const form = sniffForm(head)
  if (form === 'gzip' || form === 'zstd') return form
  if (!isOtherCompression(form)) return undefined
  throw new S3loError('UNSUPPORTED', `${archive} is compressed with ${form}`, {
    hint: `decompress it first, or with ${form} -dc and - as the archive; gzip and zstd are read as they are`,
  })
}
