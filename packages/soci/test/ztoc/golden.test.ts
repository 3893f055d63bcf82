import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { encodeText, type EntryType, type TocEntry } from '@s3lo/core/tar'
import { buildZtoc } from '../../src/ztoc/build.ts'
import { decodeZtoc, encodeZtoc } from '../../src/ztoc/flatbuffer.ts'
import { openZtoc } from '../../src/ztoc/read.ts'
import {
  UPSTREAM_BUILD_TOOL_IDENTIFIER,
  ZtocBuilder,
  type ZtocOptions,
} from '../../src/ztoc/ztoc-builder.ts'
import { LAYERS, tarA, tarB, tarC, tarH } from './tar-fixture.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function build(layer: Buffer, options: ZtocOptions, step = layer.length): Buffer {
  const builder = new ZtocBuilder({ buildToolIdentifier: 'AWS SOCI CLI v0.2', ...options })
  for (let at = 0; at < layer.length; at += step) builder.push(layer.subarray(at, at + step))
  return Buffer.from(builder.finish().content)
}

const DEFAULT = 4194304

/** Layer, span size, number of spans, digest and size of the zTOC, as the code of soci-snapshotter makes it. */
const VECTORS: readonly (readonly [string, Buffer, ZtocOptions, number, string, number])[] = [
  [
    'A',
    LAYERS.A,
    { spanSize: DEFAULT },
    1,
    '680a1a320ef703aaba475f4782778442e12c353f34c99068f083c512da0a251f',
    33216,
  ],
  [
    'B',
    LAYERS.B,
    { spanSize: 1024 },
    5,
    '1afaf8b91c4724fdc65ea2d87b53d00078b58ad00f5890925fdbbb86e3d90d82',
    164832,
  ],
  [
    "B'",
    LAYERS.B,
    { spanSize: DEFAULT },
    1,
    '9d2a5d17e0c41e383fba47fe549bc1e4cba27022cde9fba3832288804d4cdf8b',
    33368,
  ],
  [
    "B''",
    LAYERS.B,
    { spanSize: 0 },
    9,
    'e03dbee8bb37972bda751f73a09af1dcc52854a06b16d0d411dbdd7e9c3f1dd3',
    296296,
  ],
  [
    'C',
    LAYERS.C,
    { spanSize: 65536 },
    3,
    'a581af9b8a3cea111970233571dd3d28af638e60116cce5d21819cce536d6cee',
    98936,
  ],
  [
    'P',
    LAYERS.P,
    { spanSize: 30000 },
    7,
    '1561feef40f2400193296981a480a6f44616537e1b04c27867f9fe24f916cc1a',
    230392,
  ],
  [
    'D',
    LAYERS.D,
    { spanSize: DEFAULT },
    1,
    '03e3a5e38d9977d9e6ae0625669bf82d71d36f324d954cabe0256cd8d3e1c957',
    33216,
  ],
  [
    'E',
    LAYERS.E,
    { spanSize: 1024 },
    5,
    'c5a20ecf2b479179ecc06c7096e2b5021be7757a962e2e8b42fa6fef3d98d4a4',
    164832,
  ],
  [
    'F as upstream',
    LAYERS.F,
    { spanSize: DEFAULT, upstreamDefects: true },
    2,
    'c2e3a50e57799ac103e693631a8f0f9625068cb4efc743d1a81ef4c8f2241c97',
    66080,
  ],
  [
    'F',
    LAYERS.F,
    { spanSize: DEFAULT },
    1,
    '739775aed8c7ba239f4a0b80af714e96ce9bd1c85c794bcdad65fbbe67b4ad3b',
    33216,
  ],
  [
    'G',
    LAYERS.G,
    { spanSize: DEFAULT },
    1,
    '65c14c06169b037918fdb6db36773709f753365b3e182e27f66224c1c49e2f3a',
    33216,
  ],
  [
    'H',
    LAYERS.H,
    { spanSize: DEFAULT },
    1,
    'ec71dc630b584f2502010f30c69745365ace37069dd2a241ee88e6314b38ced0',
    35488,
  ],
  [
    'I',
    tarB,
    { spanSize: 1024 },
    5,
    '56873b78a7efd3aabf42f9a02e271ab74c68a8edbb621481baab591a91399ba2',
    952,
  ],
  [
    'H-tar',
    tarH,
    { spanSize: DEFAULT },
    1,
    'fdce4fa1c659b89c6af237ba776c6d9140397cbeb7ce8a51d64c28c1a902f7b1',
    2744,
  ],
  [
    'N',
    LAYERS.N,
    { spanSize: DEFAULT },
    1,
    '02cb6b1c14a28fdbe30826fb2db01dbd4a579645140087be6a949b0f376d83f1',
    33016,
  ],
]

describe('golden zTOCs', () => {
  test('the generated tars and layers are those of the notes', () => {
    expect([tarA, tarB, tarC, tarH].map(sha256)).toEqual([
      '0e5319628a10376cacbb04d6ce4e6b8d0ca5a4cfadf55123830b646c1e4c4b6f',
      'a58e65d0e5c2fa24df36e6ca7f4333dbe9858cac92e67405c260329122367630',
      '97bc88a800e7dbe6352f00573ff18a00b12ddc4161dae0da6bb287a0bfef47b8',
      'a8b7a0843746a9ab3f45114565bb04649369d7cefa944b62ae3c113e38efa85e',
    ])
    expect(Object.values(LAYERS).map((layer) => sha256(layer).slice(0, 8))).toEqual([
      '53d99d26',
      '8a2741f8',
      '1fb2526c',
      '2843c0bd',
      'f857d1ed',
      'b1fc2b12',
      '85353bb6',
      'ec7afa47',
      '66361853',
      '30e6fa98',
    ])
  })

  test.each(VECTORS)(
    '%s is the original’s, with chunks of any size',
    (_, layer, options, spans, digest, size) => {
      for (const step of [layer.length, 1, 7, 4096]) {
        const content = build(layer, options, step)
        expect([sha256(content), content.length]).toEqual([digest, size])
      }
      const ztoc = decodeZtoc(build(layer, options))
      expect(ztoc.spanDigests).toHaveLength(spans)
      expect(sha256(encodeZtoc(ztoc))).toBe(digest)
    },
  )

  test('a worker builds the same', async () => {
    const { content } = await buildZtoc(Readable.from([LAYERS.C]), {
      spanSize: 65536,
      buildToolIdentifier: UPSTREAM_BUILD_TOOL_IDENTIFIER,
    })
    expect(sha256(content)).toBe(VECTORS[4]?.[4])
  })

  test('the duplicate checkpoint of the original is refused, as by its own reader', () => {
    const ztoc = decodeZtoc(build(LAYERS.F, { upstreamDefects: true }))
    expect(() => openZtoc(ztoc)).toThrow('span 0 is not between its neighbours')
  })

  test('the synthetic zTOC W has its bytes and does not pass for a layer', () => {
    const empty = encodeText('')
    const none: string = ''
    const entry: TocEntry = {
      name: empty,
      type: none as EntryType, // As in the upstream test: only the bytes count here.
      offset: 0,
      size: 0,
      linkname: empty,
      mode: 0,
      uid: 0,
      gid: 0,
      uname: empty,
      gname: empty,
      modTime: '0001-01-01T00:00:00Z',
      devMajor: 0,
      devMinor: 0,
      paxRecords: new Map(),
    }
    const expected = encodeZtoc({
      version: '0.9',
      buildToolIdentifier: 'AWS SOCI CLI',
      compressedSize: 2000000,
      uncompressedSize: 2500000,
      entries: [entry, entry],
      algorithm: 'gzip',
      maxSpanId: 3,
      spanDigests: [],
      checkpoints: new Uint8Array(65536),
    })
    expect(sha256(expected)).toBe(
      'eba28fdf50b1b57543f57dd051b2468c1d4f57b64d2006c75aa4de1d03e6c7ec',
    )
    expect(() => decodeZtoc(expected)).toThrow(
      expect.objectContaining({ code: expect.any(String) }),
    )
  })

  test.runIf(process.env['S3LO_TEST_DATA'])('the stored vectors agree', () => {
    const folder = join(process.env['S3LO_TEST_DATA'] ?? '', 'soci-vectors')
    const files = [
      ['A', 'A.gz', DEFAULT],
      ['B', 'B.gz', 1024],
      ['C', 'C.gz', 65536],
      ['P', 'P.gz', 30000],
      ['E', 'E.gz', 1024],
      ['H', 'H.gz', DEFAULT],
      ['e_hlsize', 'e_hlsize.gz', DEFAULT],
      ['e_hlsize2', 'e_hlsize2.gz', DEFAULT],
      ['e_y9999', 'e_y9999.gz', DEFAULT],
    ] as const
    for (const [id, layer, spanSize] of files) {
      const upstreamDefects = id.startsWith('e_hl')
      const built = build(readFileSync(join(folder, layer)), { spanSize, upstreamDefects })
      expect(built.equals(readFileSync(join(folder, `${id}.ztoc`))), id).toBe(true)
    }
  })
})
