import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeText } from '@s3lo/core/tar'
import { extractEntry, type FetchRange } from '../../src/ztoc/extract.ts'
import { decodeZtoc, encodeZtoc } from '../../src/ztoc/flatbuffer.ts'
import { findEntry, type OpenZtoc, openZtoc } from '../../src/ztoc/read.ts'
import { ZtocBuilder, type ZtocOptions } from '../../src/ztoc/ztoc-builder.ts'
import {
  END,
  file,
  gz,
  header,
  LAYERS,
  layerOf,
  pax,
  pseudoRandom,
  stored,
  tarB,
  tarC,
} from './tar-fixture.ts'

function open(layer: Buffer, options: ZtocOptions = {}): OpenZtoc {
  const builder = new ZtocBuilder(options)
  builder.push(layer)
  return openZtoc(decodeZtoc(builder.finish().content))
}

function from(layer: Buffer): FetchRange {
  return async ({ start, end }) => Readable.from([layer.subarray(start, end)])
}

async function content(ztoc: OpenZtoc, layer: Buffer, name: string): Promise<Buffer> {
  const entry = findEntry(ztoc, name)
  if (!entry) throw new Error(`${name} is not there`)
  const chunks: Uint8Array[] = []
  for await (const chunk of extractEntry(ztoc, entry, from(layer))) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const bigBin = tarC.subarray(512, 512 + 200_000)

describe('extracting', () => {
  test.each([
    ['C', LAYERS.C, 65536],
    ['P', LAYERS.P, 30000],
    ['a plain tar', tarC, 10_000],
    ['every block', LAYERS.C, 0],
  ])('%s gives the file back from its spans', async (_, layer, spanSize) => {
    expect((await content(open(layer, { spanSize }), layer, 'big.bin')).equals(bigBin)).toBe(true)
  })

  test('a span in which a gzip member ends continues with the next', async () => {
    const data = tarB.subarray(1024, 4024)
    for (const spanSize of [0, 600, 1024, 4096]) {
      const ztoc = open(LAYERS.E, { spanSize })
      expect((await content(ztoc, LAYERS.E, 'dir/data.bin')).equals(data)).toBe(true)
    }
  })

  test('only the spans that hold a file are fetched', async () => {
    const names = ['a', 'b', 'c', 'd']
    const tar = Buffer.concat([...names.map((name) => file(name, pseudoRandom(50_000))), END])
    const layer = gz(stored(tar, 8192), tar)
    const ztoc = open(layer, { spanSize: 16_384 })
    const fetched: number[] = []
    const entry = findEntry(ztoc, 'c')
    if (!entry) throw new Error('c is not there')
    const fetch: FetchRange = async ({ start, end }) => {
      fetched.push(end - start)
      return Readable.from([layer.subarray(start, end)])
    }
    for await (const _ of extractEntry(ztoc, entry, fetch)) expect(_.length).toBeGreaterThan(0)
    expect(fetched.length).toBeLessThanOrEqual(4)
    expect(fetched.reduce((a, b) => a + b)).toBeLessThan(layer.length / 2)
  })

  test('leaving a file early ends what is fetched ahead', async () => {
    const ztoc = open(LAYERS.C, { spanSize: 5000 })
    const entry = findEntry(ztoc, 'big.bin')
    if (!entry) throw new Error('big.bin is not there')
    let fetches = 0
    const fetch: FetchRange = async (range, options) => {
      fetches++
      return from(LAYERS.C)(range, options)
    }
    for await (const _ of extractEntry(ztoc, entry, fetch, { concurrency: 2 })) break
    expect(fetches).toBeLessThanOrEqual(2)
  })

  test('every flipped bit of a span is detected', async () => {
    const layer = Buffer.from(LAYERS.A)
    const ztoc = open(layer)
    const [span] = ztoc.spans
    if (!span) throw new Error('there is no span')
    for (let bit = span.compressedStart * 8; bit < span.compressedEnd * 8; bit++) {
      layer[bit >> 3] = (layer[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      await expect(content(ztoc, layer, 'hello.txt')).rejects.toMatchObject({ code: 'INTEGRITY' })
      layer[bit >> 3] = (layer[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    }
  })

  test('a store that sends too little or too much is refused', async () => {
    const ztoc = open(LAYERS.A)
    const entry = findEntry(ztoc, 'hello.txt')
    if (!entry) throw new Error('hello.txt is not there')
    for (const sent of [Buffer.alloc(0), Buffer.alloc(5000)]) {
      const reading = extractEntry(ztoc, entry, async () => Readable.from([sent]))
      await expect(reading.next()).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  test('a zTOC whose entry is not what the layer holds is refused', async () => {
    const { ztoc } = open(LAYERS.A)
    const [entry] = ztoc.entries
    if (!entry) throw new Error('there is no entry')
    for (const change of [
      { mode: 0o4755 },
      { uid: 0 },
      { size: 12 },
      { modTime: '' },
      { name: encodeText('x') },
    ]) {
      const lie = openZtoc({ ...ztoc, entries: [{ ...entry, ...change }] })
      const [first] = lie.entries
      if (!first) throw new Error('there is no entry')
      const reading = extractEntry(lie, first, from(LAYERS.A))
      await expect(reading.next()).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
  })

  test('the instant of a local modification time counts', async () => {
    const { ztoc } = open(LAYERS.A)
    const [entry] = ztoc.entries
    if (!entry) throw new Error('there is no entry')
    const local = openZtoc({
      ...ztoc,
      entries: [{ ...entry, modTime: '2023-11-14T23:13:20+01:00' }],
    })
    expect((await content(local, LAYERS.A, 'hello.txt')).toString()).toBe('Hello, world\n')
  })

  test('hard links lead to their file and circles are refused', async () => {
    const tar = Buffer.concat([
      file('a', 'content'),
      header('b', { type: '1', link: 'a' }),
      header('x', { type: '2', link: 'y' }),
      header('y', { type: '2', link: 'x' }),
      END,
    ])
    const layer = layerOf(tar)
    const ztoc = open(layer)
    expect((await content(ztoc, layer, 'b')).toString()).toBe('content')
    expect(() => findEntry(ztoc, 'x')).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
    expect(findEntry(ztoc, 'none')).toBeUndefined()
  })
})

/** Compressors whose spans start at every number of bits and end in the middle of members. */
const compressor = fc.oneof(
  fc.integer({ min: 0, max: 9 }).map((level) => (tar: Buffer) => gzipSync(tar, { level })),
  fc
    .record({ level: fc.integer({ min: 1, max: 9 }), memLevel: fc.integer({ min: 1, max: 3 }) })
    .map((options) => (tar: Buffer) => gz(deflateRawSync(tar, options), tar)),
  fc.constant((tar: Buffer) =>
    gz(deflateRawSync(tar, { strategy: constants.Z_HUFFMAN_ONLY, memLevel: 1 }), tar),
  ),
  fc.integer({ min: 1, max: 5000 }).map((block) => (tar: Buffer) => gz(stored(tar, block), tar)),
  fc.integer({ min: 1, max: 9 }).map((count) => (tar: Buffer) => {
    const step = Math.ceil(tar.length / count)
    const parts = Array.from({ length: count }, (_, i) => tar.subarray(i * step, (i + 1) * step))
    return Buffer.concat(parts.map((part) => gzipSync(part, { memLevel: 1 })))
  }),
  fc.constant((tar: Buffer) => tar),
)

const TARS = process.env['S3LO_TEST_NIGHTLY'] === undefined ? 300 : 2000

const tarFile = fc.record({
  text: fc.boolean(),
  // Mostly small: all of them are to take seconds. Some are longer than the window.
  size: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 3000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 60_000 }) },
  ),
  xattr: fc.boolean(),
  seed: fc.nat(),
})

function fileContent({ text, size, seed }: { text: boolean; size: number; seed: number }): Buffer {
  const noise = createHash('shake256', { outputLength: Math.max(1, size) })
    .update(String(seed))
    .digest()
  // Text compresses into many short codes, noise into stored blocks.
  return text
    ? Buffer.from(noise.map((byte) => 97 + (byte % 13))).subarray(0, size)
    : noise.subarray(0, size)
}

describe('any layer', () => {
  test(`every file of ${TARS} random tars comes back, and a flipped bit never passes`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(tarFile, { minLength: 1, maxLength: 4 }),
        compressor,
        fc.oneof(fc.constantFrom(1, 512, 4096, 65_536), fc.integer({ min: 1, max: 100_000 })),
        fc.nat(),
        async (files, compress, spanSize, flip) => {
          const contents = files.map(fileContent)
          const tar = Buffer.concat([
            ...files.flatMap(({ xattr }, i) => [
              ...(xattr ? [pax({ 'SCHILY.xattr.user.i': String(i), mtime: `${i}.25` })] : []),
              file(`./f${i}`, contents[i] ?? ''),
            ]),
            END,
          ])
          const layer = Buffer.from(compress(tar))
          // A span for every 100 bytes makes 32 KiB each: fewer where there would be too many.
          const ztoc = open(layer, { spanSize: Math.max(spanSize, Math.ceil(tar.length / 20)) })
          for (const [i, expected] of contents.entries()) {
            expect((await content(ztoc, layer, `./f${i}`)).equals(expected)).toBe(true)
          }
          const [first] = ztoc.spans
          const at =
            (first?.compressedStart ?? 0) + (flip % (layer.length - (first?.compressedStart ?? 0)))
          layer[at] = (layer[at] ?? 0) ^ (1 << (flip & 7))
          const reads = contents.map((expected, i) =>
            content(ztoc, layer, `./f${i}`).then(
              (read) => read.equals(expected),
              (error: unknown) => (error as { code?: string }).code === 'INTEGRITY',
            ),
          )
          expect(await Promise.all(reads)).not.toContain(false)
        },
      ),
      { numRuns: TARS, seed: 7 },
    )
  }, 240_000)
})

describe('hostile zTOCs', () => {
  const builder = new ZtocBuilder({ spanSize: 1024 })
  builder.push(tarB)
  const valid = Buffer.from(builder.finish().content)
  const gzipBuilder = new ZtocBuilder({ spanSize: 4096 })
  gzipBuilder.push(LAYERS.H)
  const validGzip = Buffer.from(gzipBuilder.finish().content)

  function readOrRefuse(bytes: Uint8Array): boolean {
    try {
      openZtoc(decodeZtoc(bytes))
      return true
    } catch (error) {
      const { code } = error as { code?: string }
      return code === 'INTEGRITY' || code === 'UNSUPPORTED'
    }
  }

  test('random bytes are refused or read, never anything else', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), readOrRefuse), {
      numRuns: 1000,
      seed: 1,
    })
  })

  test('changed bytes are refused or read, never anything else', () => {
    // The checkpoints of the gzip one are most of it: what is around them is what is read.
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }))
    fc.assert(
      fc.property(
        fc.constantFrom(valid, validGzip),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        (base, changes) => {
          const bytes = Buffer.from(base)
          for (const [at, byte] of changes) {
            const edge = Math.min(bytes.length, 4000)
            const place = at % (2 * edge)
            bytes[place < edge ? place : bytes.length - 1 - (place - edge)] = byte
          }
          return readOrRefuse(bytes)
        },
      ),
      { numRuns: 2000, seed: 2 },
    )
  }, 60_000)

  test('every truncation is refused or read', () => {
    for (let length = 0; length < valid.length; length++) {
      expect(readOrRefuse(valid.subarray(0, length))).toBe(true)
    }
  })

  test('a list that names one entry many times is refused before it takes memory', () => {
    const count = 200_000
    const long = encodeText('n'.repeat(10_000))
    const [entry] = decodeZtoc(valid).entries
    if (!entry) throw new Error('there is no entry')
    const bytes = Buffer.from(
      encodeZtoc({ ...decodeZtoc(valid), entries: [{ ...entry, name: long }] }),
    )
    // A new root whose list of entries lies at the end and points back at the one there is.
    const hostile = withRepeatedEntry(bytes, count)
    expect(() => decodeZtoc(hostile)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  })

  test.each([
    ['a negative size', { compressedSize: -1 }],
    ['a last span that is not the last', { maxSpanId: 5 }],
    ['a huge number of spans', { maxSpanId: 2147483647 }],
    ['digests that are missing', { spanDigests: [] }],
    ['digests that are none', { spanDigests: ['x', 'x', 'x', 'x', 'x'] }],
    ['no checkpoints', { checkpoints: new Uint8Array() }],
    ['a layer of another size', { compressedSize: 5121 }],
    ['content past the end', { uncompressedSize: 1024 }],
  ])('%s is refused', (_, change) => {
    const ztoc = { ...decodeZtoc(valid), ...change }
    expect(() => openZtoc(ztoc)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  })

  test('another version is told apart', () => {
    const other = encodeZtoc({ ...decodeZtoc(valid), version: '1.0' })
    expect(() => decodeZtoc(other)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  })
})

/** Appends a list of `count` offsets to the only entry, and lets the table of contents point there. */
function withRepeatedEntry(bytes: Buffer, count: number): Buffer {
  const root = bytes.readUInt32LE(0)
  const rootVtable = root - bytes.readInt32LE(root)
  const tocField = root + bytes.readUInt16LE(rootVtable + 4 + 2 * 4)
  const toc = tocField + bytes.readUInt32LE(tocField)
  const tocVtable = toc - bytes.readInt32LE(toc)
  const listField = toc + bytes.readUInt16LE(tocVtable + 4)
  const list = listField + bytes.readUInt32LE(listField)
  const entry = list + 4 + bytes.readUInt32LE(list + 4)
  // An offset only goes forward, so the entry and its list are copied behind each other: the
  // whole buffer once more, with the list in front of it.
  const block = Buffer.alloc(4 + 4 * count)
  block.writeUInt32LE(count, 0)
  const base = bytes.length
  for (let i = 0; i < count; i++) {
    block.writeUInt32LE(base + block.length + entry - (base + 4 + 4 * i), 4 + 4 * i)
  }
  const whole = Buffer.concat([bytes, block, bytes])
  whole.writeUInt32LE(base - listField, listField)
  return whole
}
