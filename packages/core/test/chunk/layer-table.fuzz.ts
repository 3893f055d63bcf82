import { zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { digestOfTable, type LayerTable, parseLayerTable } from '../../src/chunk/layer-table.ts'
import { isS3loError } from '../../src/errors.ts'
import { LayerTree } from '../../src/filesystem/layer-tree.ts'
import { isDigest } from '../../src/oci/digest.ts'
import { EVERY_KIND, TABLE_DIGEST, tableLines } from './table-lines.ts'

const LINES = [...tableLines(EVERY_KIND.length, (n) => EVERY_KIND[n] ?? {})]
const TEXT = Buffer.from(LINES.join(''))

const member = fc.constantFrom(
  ...'v layer size content contentSize entries path type offset headers sha256 mode'.split(' '),
  ...'uid gid uname gname mtime link device xattrs sparse __proto__ x'.split(' '),
)
const value = fc.oneof(
  fc.constantFrom<unknown>(null, true, -1, 0.5, 2 ** 53, 512, '', '..', [], {}, [['a', 'b']]),
  fc.constantFrom<unknown>('a/'.repeat(2000), '../'.repeat(2000), '\0', '\ud800'),
  fc.constantFrom<unknown>({ base64: '//8=' }, 'reg', 'dir', 'symlink', 'hardlink', 'etc/symlink'),
  fc.json({ maxDepth: 3 }).map((text): unknown => JSON.parse(text)),
)

/** The text of a table with members of its lines changed, and lines moved to the end. */
const changed = fc
  .tuple(
    fc.array(fc.record({ line: fc.nat(), member, value }), { maxLength: 4 }),
    fc.array(fc.nat(), { maxLength: 2 }),
  )
  .map(([changes, moved]) => {
    const lines = [...LINES]
    for (const change of changes) {
      const at = change.line % lines.length
      const object = JSON.parse(lines[at] ?? '{}') as Record<string, unknown>
      lines[at] = `${JSON.stringify({ ...object, [change.member]: change.value })}\n`
    }
    for (const from of moved) lines.push(...lines.splice(from % lines.length, 1))
    return Buffer.from(lines.join(''))
  })

/** Bytes with some of them overwritten, and perhaps the end cut off. */
const spoil = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 20 }), fc.boolean()).map(([at, put, isCut]) => {
    const copy = Uint8Array.from(bytes)
    const place = at % (copy.length - put.length)
    copy.set(put, place)
    return isCut ? copy.subarray(0, place) : copy
  })

/** Entries whose paths and links lead to each other. */
const path = fc
  .array(fc.constantFrom('a', 'b', 'c', '..', '.', '', '.wh.a', '.wh..wh..opq'), { maxLength: 6 })
  .map((parts) => parts.join('/'))
const entries = fc.array(
  fc.record({ path, link: path, type: fc.constantFrom('dir', 'symlink', 'hardlink', 'fifo') }),
  { maxLength: 60 },
)

/** What is read; `undefined` for an error that blames the table. Any other error is a finding. */
async function attempt<T>(run: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await run()
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY') || isS3loError(error, 'UNSUPPORTED')) return undefined
    throw error
  }
}

/** True for an error, and for a table that contradicts itself nowhere. */
async function isSound(stored: Uint8Array): Promise<boolean> {
  const table = await attempt(() => parseLayerTable(stored, TABLE_DIGEST))
  if (!table) return true
  await attempt(() => new LayerTree(table.entries))
  return isInOrder(table) && isDigest(digestOfTable(table))
}

function isInOrder({ entries: found, content }: LayerTable): boolean {
  let end = 0
  return found.every(({ offset, headers, size }) => {
    const isNext = offset - headers === end && offset + size <= content.size
    end = offset + Math.ceil(size / 512) * 512
    return isNext
  })
}

/** What `pnpm fuzz` runs, by name. */
export const properties = {
  'bytes of a table': fc.asyncProperty(spoil(zstdCompressSync(TEXT)), isSound),
  'text of a table': fc.asyncProperty(fc.oneof(changed, spoil(TEXT)), (text) =>
    isSound(zstdCompressSync(text)),
  ),
  'entries of a table': fc.asyncProperty(entries, (list) =>
    isSound(zstdCompressSync([...tableLines(list.length, (n) => list[n] ?? {})].join(''))),
  ),
}
