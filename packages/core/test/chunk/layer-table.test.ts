import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { TableBuilder } from '../../src/chunk/build-table.ts'
import { HashThread } from '../../src/chunk/hash-thread.ts'
import { type LayerTable, parseLayerTable } from '../../src/chunk/layer-table.ts'
import { layerTableKey } from '../../src/layout/chunk-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { padTar, TAR_END, tarFile, tarHeader, tarPax } from '../../src/testing/index.ts'
import { decompress } from '../../src/stream/decompress.ts'
import { bytesOf, decodeText } from '../../src/tar/byte-text.ts'
import { TarToc } from '../../src/tar/tar-toc.ts'

const LAYER = { digest: digestOf(Buffer.from('the blob')), size: 8 }
const KEY = layerTableKey(LAYER.digest)

/** Pushed in pieces of this length (bytes). */
async function build(tar: Buffer, piece = tar.length): Promise<Uint8Array | undefined> {
  const builder = new TableBuilder()
  for (let at = 0; at < tar.length; at += piece) await builder.push(tar.subarray(at, at + piece))
  return builder.finish({ layer: LAYER, content: { digest: digestOf(tar), size: tar.length } })
}

/** As {@link build}, on a thread; gives the digests of the pieces too. */
async function buildOnThread(
  tar: Buffer,
  piece: number,
): Promise<readonly [Uint8Array | undefined, readonly (string | undefined)[]]> {
  const thread = new HashThread()
  try {
    const builder = new TableBuilder(thread)
    const digests: (Promise<string> | undefined)[] = []
    for (let at = 0; at < tar.length; at += piece) {
      const content = tar.subarray(at, at + piece)
      const bytes = new Uint8Array(new SharedArrayBuffer(content.length + 1), 1)
      bytes.set(content)
      await builder.push(bytes)
      digests.push(builder.digest())
    }
    const content = { digest: digestOf(tar), size: tar.length }
    const table = await builder.finish({ layer: LAYER, content })
    return [table, await Promise.all(digests.map(async (digest) => digest))]
  } finally {
    await thread.close()
  }
}

async function textOf(table: Uint8Array): Promise<string> {
  const text = decompress(Readable.from([table]), 'zstd', 'the table')
  return Buffer.concat(await Array.fromAsync(text)).toString()
}

const TAR = Buffer.concat([
  tarHeader('pax_global_header', { type: 'g', size: 11 }),
  padTar(Buffer.from('11 comment=')),
  tarHeader('etc/', { type: '5', mode: 0o755, mtime: 1 }),
  tarFile('etc/passwd', 'root', { uid: 1, gid: 2, uname: 'u', gname: 'g', mode: 0o4755 }),
  tarHeader('etc/link', { type: '2', link: 'passwd' }),
  tarHeader('null', { type: '3', major: 1, minor: 3 }),
  tarPax({ path: 'über', 'SCHILY.xattr.security.capability': Buffer.of(0, 0xff) }),
  tarFile('uber', Buffer.alloc(1500, 'x')),
  tarHeader(Buffer.of(0x62, 0xff)),
  tarPax({ 'GNU.sparse.major': '1', 'GNU.sparse.name': 'holes' }),
  tarFile('GNUSparseFile.0/holes', 'map'),
  TAR_END,
])

const EMPTY_FILE = tarFile('a'.repeat(90), '')
/** A header that no entry of a table is. */
const GLOBAL = Buffer.concat([
  tarHeader('g', { type: 'g', size: 1_000_000 }),
  padTar(Buffer.alloc(1_000_000)),
])

describe('the table of a layer', () => {
  it('says of each entry what the tar does, and what a file holds', async () => {
    const table = await parseLayerTable((await build(TAR))!, LAYER.digest)
    expect(table.layer).toEqual(LAYER)
    expect(table.content).toEqual({ digest: digestOf(TAR), size: TAR.length })
    const toc = new TarToc({ tolerant: true })
    toc.push(TAR)
    expect(table.entries).toMatchObject(
      toc.entries.map((entry) => ({ ...entry, paxRecords: expect.any(Map) as unknown })),
    )
    const byName = new Map(table.entries.map((entry) => [decodeText(entry.name), entry]))
    expect(byName.get('etc/passwd')?.digest).toBe(digestOf(Buffer.from('root')))
    expect(byName.get('über')?.digest).toBe(digestOf(Buffer.alloc(1500, 'x')))
    expect(byName.get('holes')).toMatchObject({ digest: undefined, isSparse: true })
    expect([...(byName.get('über')?.paxRecords ?? [])].map(([k, v]) => [k, bytesOf(v)])).toEqual([
      ['SCHILY.xattr.security.capability', Buffer.of(0, 0xff)],
    ])
  })

  it('is lines of JSON in zstd, and leaves out what is empty', async () => {
    const lines = (await textOf((await build(TAR))!)).trimEnd().split('\n')
    const [head, , passwd, , , , bytes] = lines.map((line) => JSON.parse(line) as unknown)
    expect(head).toEqual({
      v: 1,
      layer: LAYER.digest.slice(7),
      size: 8,
      content: digestOf(TAR).slice(7),
      contentSize: TAR.length,
      entries: 7,
    })
    expect(passwd).toEqual({
      path: 'etc/passwd',
      type: 'reg',
      offset: 2048,
      size: 4,
      sha256: digestOf(Buffer.from('root')).slice(7),
      mode: 0o4755,
      uid: 1,
      gid: 2,
      uname: 'u',
      gname: 'g',
      mtime: '1970-01-01T00:00:00Z',
    })
    expect(bytes).toMatchObject({ path: { base64: 'Yv8=' } })
  })

  it.each([1, 7, 511, 512, 513, 4096])('is the same in pieces of %i bytes', async (piece) => {
    expect(await textOf((await build(TAR, piece))!)).toBe(await textOf((await build(TAR))!))
  })

  it.each([1 << 20, 100_000, 1000])('has the digest of a large file: %i', async (piece) => {
    const content = Buffer.alloc(200_000, 'large')
    const tar = Buffer.concat([tarFile('a', 'a'), tarFile('large', content), TAR_END])
    const { entries } = await parseLayerTable((await build(tar, piece))!, LAYER.digest)
    expect(entries[1]).toMatchObject({ name: 'large', digest: digestOf(content) })
  })

  it.each([
    ['no tar', Buffer.alloc(4096, 'x')],
    ['cut off', TAR.subarray(0, 1900)],
    ['of a file that is longer than it says', tarHeader('a', { size: 4 })],
    ['with a name of over 64 KiB', longName(70_000)],
    [
      'with headers that take over 4 MiB',
      Buffer.concat([...Array.from({ length: 5 }, () => GLOBAL), tarFile('a', '')]),
    ],
  ])('is none for a layer that is %s', async (_, tar) => {
    expect(await build(tar, 1000)).toBeUndefined()
  })

  it.each([1, 511, 700, TAR.length])(
    'is the same where a thread hashes, which hashes the pieces of %d bytes too',
    async (piece) => {
      const pieces = Array.from({ length: Math.ceil(TAR.length / piece) }, (_, i) =>
        digestOf(TAR.subarray(i * piece, (i + 1) * piece)),
      )
      const [table, digests] = await buildOnThread(TAR, piece)
      expect(await textOf(table!)).toBe(await textOf((await build(TAR))!))
      expect(digests).toEqual(pieces)
      // What is no tar has no table, and its pieces have digests.
      const none = Buffer.alloc(3 * 512, 'x')
      const [nothing, ofNone] = await buildOnThread(none, 512)
      expect([nothing, new Set(ofNone)]).toEqual([
        undefined,
        new Set([digestOf(none.subarray(512, 1024))]),
      ])
    },
  )

  it('is compressed while it is made', async () => {
    const files = Array.from({ length: 12_000 }, () => EMPTY_FILE)
    const table = (await build(Buffer.concat(files), 1 << 20))!
    expect((await parseLayerTable(table, LAYER.digest)).entries).toHaveLength(files.length)
    expect(table.length).toBeLessThan(200_000)
  })
})

function longName(length: number): Buffer {
  const body = Buffer.alloc(length, 'n')
  const header = tarHeader('././@LongLink', { type: 'L', size: length })
  return Buffer.concat([header, padTar(body), tarFile('a', '')])
}

describe('a table that is stored', () => {
  /** With one line changed. */
  async function changed(line: number, change: object | string): Promise<Uint8Array> {
    const lines = (await textOf((await build(TAR))!)).split('\n')
    lines[line] =
      typeof change === 'string'
        ? change
        : JSON.stringify({ ...(JSON.parse(lines[line]!) as object), ...change })
    return zstdCompressSync(lines.join('\n'))
  }

  const parse = async (stored: Promise<Uint8Array>): Promise<LayerTable> =>
    parseLayerTable(await stored, LAYER.digest)

  it('is read in whichever frames', async () => {
    const { entries } = await parse(changed(0, {}))
    expect(entries).toHaveLength(7)
  })

  it.each<[string, number, object | string]>([
    ['of another version', 0, { v: 2 }],
    ['of another layer', 0, { layer: digestOf(TAR).slice(7) }],
    ['with a member twice', 0, '{"v":1,"v":1}'],
    ['of more entries', 0, { entries: 8 }],
    ['of a shorter layer', 0, { contentSize: 3000 }],
    ['with a line that is no JSON', 2, '{'],
    ['without an entry', 2, '{}'],
    ['with an entry elsewhere', 2, { offset: 4096 }],
    ['with headers that are no blocks', 2, { headers: 700 }],
    ['with a huge file', 2, { size: 2 ** 40 }],
    ['with a negative size', 2, { size: -1 }],
    ['with a file of no digest', 2, { sha256: undefined }],
    ['with a digest that is none', 2, { sha256: 'x' }],
    ['with a directory of a digest', 1, { sha256: '0'.repeat(64) }],
    ['with a directory of a size', 1, { size: 1 }],
    ['of a type that is none', 2, { type: 'x' }],
    ['with a time that is none', 2, { mtime: '\u001b[31m' }],
    ['with a user that is none', 2, { uid: 2 ** 32 }],
    ['with a mode that is none', 2, { mode: 'x' }],
    ['with a device that is none', 4, { device: 'x' }],
    ['with attributes that are none', 2, { xattrs: [1] }],
    ['with a path that is none', 2, { path: 1 }],
    ['with a path of 64 KiB', 2, { path: 'a'.repeat(64 * 1024 + 1) }],
  ])('%s is damaged', async (_, line, change) => {
    await expect(parse(changed(line, change))).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it.each<[string, (table: Uint8Array) => Uint8Array | Promise<Uint8Array>]>([
    ['that is cut', (table) => table.subarray(0, -9)],
    ['of one line', async (table) => zstdCompressSync((await textOf(table)).split('\n', 1)[0]!)],
    ['that is empty', () => zstdCompressSync('')],
    ['without a byte', () => Buffer.alloc(0)],
    ['that is no zstd', () => Buffer.from('{"v":1}')],
    ['with a flipped bit', flipped],
    ['of a line without an end', () => zstdCompressSync(Buffer.alloc(3 << 20, 'a'))],
  ])('%s is damaged', async (_, spoil) => {
    const stored = await spoil((await build(TAR))!)
    await expect(parseLayerTable(stored, LAYER.digest)).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringContaining(KEY),
    })
  })
})

function flipped(table: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(table)
  copy[copy.length - 6]! ^= 1
  return copy
}
