import { type Compression, compressionOf, MEDIA_TYPE, S3loError } from '@s3lo/core'
import { BLOCK_SIZE, hasValidChecksum } from '../tar/header.ts'

/** How many of the first bytes tell what content is. */
export const SNIFF_SIZE = BLOCK_SIZE

/** What content turns out to be; `unknown` is not compressed, and not seen to be a tar either. */
export type ContentForm = 'tar' | Compression | 'bzip2' | 'xz' | 'json' | 'unknown'

const MAGIC: readonly (readonly [form: ContentForm, magic: readonly number[]])[] = [
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
]

const WHITE_SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d])

/** Tells from its first bytes what content is: neither names nor media types are to be trusted. */
export function sniffForm(head: Uint8Array): ContentForm {
  if (hasValidChecksum(head)) return 'tar' // A tar whose first file is called "BZh…" is still a tar.
  const [other] = MAGIC.find(([, magic]) => magic.every((byte, i) => head[i] === byte)) ?? []
  const compressed = compressionOf(head) ?? other
  if (compressed) return compressed
  const first = head.find((byte) => !WHITE_SPACE.has(byte))
  return first === 0x7b || first === 0x5b ? 'json' : 'unknown'
}

/** The OCI media type of a layer of that form. Throws `UNSUPPORTED` where there is none. */
export function layerMediaType(form: ContentForm, name: string): string {
  if (form === 'gzip') return MEDIA_TYPE.ociLayerGzip
  if (form === 'zstd') return MEDIA_TYPE.ociLayerZstd
  if (form !== 'bzip2' && form !== 'xz') return MEDIA_TYPE.ociLayer
  throw new S3loError('UNSUPPORTED', `layer ${name} is compressed with ${form}`, {
    hint: 'OCI images have layers that are plain, gzip or zstd',
  })
}
