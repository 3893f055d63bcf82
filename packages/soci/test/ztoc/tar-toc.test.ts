import { describe, expect, test } from 'vitest'
import { decodeText, TarToc, type TocEntry } from '@s3lo/core/tar'
import { decodeZtoc } from '../../src/ztoc/flatbuffer.ts'
import { openZtoc } from '../../src/ztoc/read.ts'
import { parseGzipZinfo } from '../../src/ztoc/zinfo.ts'
import { type BuiltZtoc, ZtocBuilder, type ZtocOptions } from '../../src/ztoc/ztoc-builder.ts'
import {
  END,
  file,
  gz,
  header,
  LAYERS,
  layerOf,
  pad,
  pax,
  stored,
  tarA,
  tarB,
  withChecksum,
} from './tar-fixture.ts'

function build(layer: Buffer, options: ZtocOptions = {}): BuiltZtoc {
  const builder = new ZtocBuilder(options)
  builder.push(layer)
  return builder.finish()
}

function sizeOf(...parts: readonly Buffer[]): number {
  return decodeZtoc(build(layerOf(Buffer.concat(parts))).content).uncompressedSize
}

function entriesOf(...parts: readonly Buffer[]): readonly TocEntry[] {
  const toc = new TarToc()
  toc.push(Buffer.concat(parts))
  toc.finish()
  return toc.entries
}

function refused(code: string, ...parts: readonly Buffer[]): void {
  expect(() => entriesOf(...parts)).toThrow(expect.objectContaining({ code }))
}

const abc = Buffer.concat([header('a', { size: 3 }), Buffer.from('abc')])

describe('the end of a tar', () => {
  test('may be missing, in half or without padding', () => {
    expect(sizeOf(pad(abc))).toBe(1024)
    expect(sizeOf(pad(abc), Buffer.alloc(512))).toBe(1536)
    expect(sizeOf(abc)).toBe(515)
    expect(sizeOf(pad(abc), END)).toBe(2048)
    expect(sizeOf()).toBe(0)
  })

  test('hides what follows it, but a single zero block must not be followed', () => {
    expect(entriesOf(pad(abc), END, Buffer.from('anything'))).toHaveLength(1)
    refused('INTEGRITY', pad(abc), Buffer.alloc(512), pad(abc))
  })

  test('in the middle of a header, content or PAX body is an error', () => {
    refused('INTEGRITY', header('a').subarray(0, 100))
    refused('INTEGRITY', abc.subarray(0, 514))
    refused('INTEGRITY', pax({ path: 'x' }).subarray(0, 515))
  })
})

describe('entries', () => {
  test.each(['7', 'S', 'g', 'D'])('of type %s are unsupported', (type) => {
    refused('UNSUPPORTED', header('x', { type }), END)
  })

  test('of type 0 are files, even with a slash; those of no type are what their name says', () => {
    const entries = entriesOf(
      header('d/'),
      header('e/', { type: '\0' }),
      header('f', { type: '\0' }),
      END,
    )
    expect(entries.map(({ type }) => type)).toEqual(['reg', 'dir', 'reg'])
  })

  test('that are links have no size, unless the original is followed to the letter', () => {
    const tar = Buffer.concat([
      file('a', 'abc'),
      header('b', { type: '1', size: 3, link: 'a' }),
      file('c', 'c'),
      END,
    ])
    const ours = decodeZtoc(build(layerOf(tar)).content)
    expect(ours.entries.map(({ size }) => size)).toEqual([3, 0, 1])
    expect(openZtoc(ours).entries.map(({ headerOffset }) => headerOffset)).toEqual([0, 1024, 1536])
    const theirs = decodeZtoc(build(layerOf(tar), { upstreamDefects: true }).content)
    expect(openZtoc(theirs).entries.map(({ headerOffset }) => headerOffset)).toEqual([
      0, 1024, 2048,
    ])
  })

  test('whose derived headers overlap, as after a large link of the original, are refused', () => {
    const tar = Buffer.concat([
      header('b', { type: '1', size: 3000, link: 'a' }),
      file('c', 'c'),
      END,
    ])
    const ztoc = decodeZtoc(build(layerOf(tar), { upstreamDefects: true }).content)
    expect(() => openZtoc(ztoc)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  })

  test.each([
    ['-1.5', '1969-12-31T23:59:58.5Z'],
    ['1.500', '1970-01-01T00:00:01.5Z'],
    ['1.1234567899', '1970-01-01T00:00:01.123456789Z'],
    ['253402300800', ''],
    ['7', '1970-01-01T00:00:07Z'],
  ])('with the time %s are of %s', (mtime, expected) => {
    expect(entriesOf(pax({ mtime }), header('a'), END)[0]?.modTime).toBe(expected)
  })

  test('with an empty PAX value keep the header’s, and the record is kept', () => {
    const [entry] = entriesOf(
      pax({ uname: '', comment: 'hi' }),
      header('a', { uname: 'root' }),
      END,
    )
    expect(entry?.uname).toBe('root')
    expect([...(entry?.paxRecords ?? [])]).toEqual([
      ['comment', 'hi'],
      ['uname', ''],
    ])
  })

  test('take what a PAX header says, and a second one replaces the first', () => {
    const records = {
      path: 'p',
      linkpath: 'l',
      uname: 'u',
      gname: 'g',
      uid: '4294967297',
      gid: '-1',
    }
    const [entry] = entriesOf(pax({ comment: 'lost' }), pax(records), header('a'), END)
    expect(entry).toMatchObject({
      name: 'p',
      linkname: 'l',
      uname: 'u',
      gname: 'g',
      uid: 1,
      gid: 4294967295,
      offset: 2560,
    })
    expect(entry?.paxRecords.has('comment' as never)).toBe(false)
  })

  test('keep bytes that are not UTF-8', () => {
    const [entry] = entriesOf(header(Buffer.from([0x61, 0xff])), END)
    expect(entry?.name).toBe('a\xff')
    expect(decodeText(entry!.name)).toBe('a\uFFFD')
  })

  test('may have numbers in base 256', () => {
    const block = header('a')
    block.set([0x80, 0, 0, 0, 0, 1, 0, 0], 108)
    block.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], 116)
    const [entry] = entriesOf(withChecksum(block), END)
    expect([entry?.uid, entry?.gid]).toEqual([65536, 4294967294])
  })

  test.each([
    ['1.0', { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '1000000' }],
    ['0.1', { 'GNU.sparse.map': '0,1' }],
    ['0.0', { 'GNU.sparse.numblocks': '1', 'GNU.sparse.offset': '0', 'GNU.sparse.numbytes': '3' }],
  ])('that are sparse (PAX %s) are unsupported', (_, records) => {
    refused('UNSUPPORTED', pax(records), file('a', 'abc'), END)
  })

  test('with a header that is not valid are errors', () => {
    const wrongSum = header('a')
    wrongSum[0] = 0x62
    refused('INTEGRITY', wrongSum, END)
    const letters = header('a')
    letters.write('zzz', 100)
    refused('INTEGRITY', withChecksum(letters), END)
    refused('INTEGRITY', header('x', { type: 'x', size: 1024 * 1024 + 1 }))
    for (const body of ['5 a\n', '6 =b\n\n', '99 a=b\n', 'a=b\n', '6 a=b ', '7 a\0=b\n']) {
      const content = Buffer.from(body)
      refused(
        'INTEGRITY',
        header('x', { type: 'x', size: content.length }),
        pad(content),
        header('a'),
        END,
      )
    }
  })
})

describe('layers', () => {
  const trailing = Buffer.concat([LAYERS.A, Buffer.alloc(16)])
  const wrongSum = Buffer.from(LAYERS.A)
  wrongSum[wrongSum.length - 6] = (wrongSum[wrongSum.length - 6] ?? 0) ^ 1

  test.each([
    [
      'with a PAX global header',
      layerOf(Buffer.concat([header('pax_global_header', { type: 'g' }), END])),
      'UNSUPPORTED',
    ],
    ['with bytes after the last member', trailing, 'INTEGRITY'],
    ['that breaks off', LAYERS.B.subarray(0, -20), 'INTEGRITY'],
    ['with a wrong checksum', wrongSum, 'INTEGRITY'],
    [
      'of gzip that holds no tar',
      gz(stored(Buffer.alloc(600, 1)), Buffer.alloc(600, 1)),
      'INTEGRITY',
    ],
    ['of one byte', Buffer.from([1]), 'INTEGRITY'],
  ])('%s are refused', (_, layer, code) => {
    expect(() => build(layer)).toThrow(expect.objectContaining({ code }))
  })

  test('that are not what they are said to be are refused', () => {
    expect(() => build(tarA, { algorithm: 'gzip' })).toThrow(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
    expect(() => build(LAYERS.A, { algorithm: 'uncompressed' })).toThrow(
      expect.objectContaining({ code: 'INTEGRITY' }),
    )
  })

  test('give a USAGE error for span sizes that are none', () => {
    expect(() => build(tarB, { spanSize: 0 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
    expect(() => build(tarB, { spanSize: -1 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  test('without attributes and opaque directories need no attributes', () => {
    expect(
      [LAYERS.A, LAYERS.B, LAYERS.H, LAYERS.N].map((layer) => build(layer).needsNoXattrs),
    ).toEqual([true, true, false, true])
    const opaque = Buffer.concat([file('d/.wh..wh..opq', ''), END])
    expect(build(opaque).needsNoXattrs).toBe(false)
  })
})

describe('a zinfo', () => {
  const header = (count: number): Buffer => {
    const bytes = Buffer.alloc(12)
    bytes.writeInt32LE(count, 0)
    return bytes
  }

  test.each([Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(11), header(255), header(-1)])(
    'that is no zinfo is refused (%#)',
    (blob) => {
      expect(() => parseGzipZinfo(blob)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
    },
  )

  test('of no checkpoints is one, and version 1 leaves the first out', () => {
    expect(parseGzipZinfo(header(0)).checkpoints).toEqual([])
    const [first] = parseGzipZinfo(header(1)).checkpoints
    expect(first).toMatchObject({ compressedOffset: 10, uncompressedOffset: 0, bits: 0 })
  })
})
