import { formatTableHead } from '../../src/chunk/layer-table.ts'
import { digestOf } from '../../src/oci/digest.ts'

const LAYER = { digest: digestOf(Buffer.from('the blob')), size: 8 }

/** Of the tables that {@link tableOf} makes. */
export const TABLE_DIGEST = LAYER.digest

const REGULAR = { type: 'reg', sha256: '0'.repeat(64) }

/** What a table may say of an entry, once each. */
export const EVERY_KIND: readonly object[] = [
  { path: 'etc/', type: 'dir', mtime: '2020-01-01T00:00:00Z' },
  { ...REGULAR, path: 'etc/file', size: 1500, uid: 1, gid: 2, uname: 'u', gname: 'g' },
  { ...REGULAR, path: 'usr/deep/er/file', xattrs: [['security.capability', 'AAH/']] },
  { path: 'etc/symlink', type: 'symlink', link: '../etc/file' },
  { path: 'etc/hardlink', type: 'hardlink', link: 'etc/file' },
  { path: 'etc/symlink/below', type: 'dir' },
  { path: 'dev/null', type: 'char', device: [1, 3] },
  { path: { base64: 'Yv8=' }, type: 'fifo', headers: 1536 },
  { path: 'holes', type: 'reg', size: 512, sparse: true },
  { path: 'etc/.wh.gone', ...REGULAR },
  { path: 'usr/.wh..wh..opq', ...REGULAR },
]

/**
 * The lines of a table of a tar with so many entries, each with what `entry` says and no content: `dir`
 * unless that says otherwise.
 */
export function* tableLines(count: number, entry: (n: number) => object): Generator<string, void> {
  yield formatTableHead({ layer: LAYER, content: { ...LAYER, size: 2 ** 50 } }, count)
  let end = 0
  for (let n = 0; n < count; n++) {
    const { headers = 512, size = 0, ...facts } = entry(n) as Record<string, unknown>
    const offset = end + Number(headers)
    end = offset + Math.ceil(Number(size) / 512) * 512
    const line = { path: `f${n}`, type: 'dir', offset, headers, size, mode: 0o755, ...facts }
    yield `${JSON.stringify(line)}\n`
  }
}
