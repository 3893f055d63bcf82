import { createHash, hash } from 'node:crypto'

/** Chunks as offset, length and sha256. */
export type GoldenChunk = readonly [offset: number, length: number, sha256: string]

/** The hashes of a counter one after the other: content that anybody can make again. */
export function goldenStream(length: number): Buffer {
  const stream = Buffer.alloc(length)
  const counter = Buffer.alloc(8)
  for (let at = 0; at < length; at += 32) {
    counter.writeUInt32BE(at / 32, 4)
    hash('sha256', counter, 'buffer').copy(stream, at)
  }
  return stream
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

const MIB = 1024 * 1024
/** 40 MiB of the stream. */
export const GOLDEN_LENGTH = 40 * MIB
export const GOLDEN_SHA256 = '3cae22f89cd5a6c7f6cc72a0b23ae53407e292ec43b41091c0930a0687bfad3d'

/** Its chunks, as the Go program (v3) cuts them. */
export const GOLDEN: readonly GoldenChunk[] = [
  [0, 4709168, 'f5f9f74e6a86e67e13690cf668481620a8dd2aa38be165f8ad708507a5b0ff57'],
  [4709168, 7879281, 'c6cbc95d179ff11aa789bec3739b3920753c05ea3f89fadc2cdc06e1624f3b5e'],
  [12588449, 4405725, 'aaa56f5c069be1c140f652d0959c7d5101032926766e88c58f9cc468f1f4a59a'],
  [16994174, 1473352, 'e18a889f505e0d00e70d140c938e98d7fbfcfbdf7d63324be4bb0a280ad21bd7'],
  [18467526, 4105384, '298f9a077109dcfd7bf5ef6f12c83d4475ee96637387f926dd90ae12bca4ea99'],
  [22572910, 2519494, '6de4af4936dbd3f84535589ae0507170e72afb0d79ee4e1ecbc5df66bcca471b'],
  [25092404, 5258985, '366ab96818227b8bb4d9698d2d1df793c59e0c7cec28919079007964044ce030'],
  [30351389, 2441020, '37b7e49f63923530ea538226f0be17c71c892311f11aaad299ea4b1d64206103'],
  [32792409, 1837176, '39525871b637facaa2a85f00ff2929ce2c7ac610d47ed483edbeebfd9f408ef4'],
  [34629585, 1966497, 'f8ae1a45dc98c27285784ab16d8f45f3cff067888ee77cd13121d243297f2b6b'],
  [36596082, 4964149, '7806e12c0c91a2676a842d56ac711351d4d854ff893c8a8773ee6ff48ea70e97'],
  [41560231, 382809, '354f524e90080b9c64a4d33ed7d79215df4a70d3937c00de2d8cd5c3bbb9dfe0'],
]

/** Where these bytes come in between, of all chunks but one only the place is another. */
export const INSERTED = { at: 20_971_520, bytes: Buffer.from('INSERTED') } as const
export const GOLDEN_INSERTED: readonly GoldenChunk[] = GOLDEN.map(([offset, length, digest], i) => {
  if (i < 4) return [offset, length, digest]
  if (i > 4) return [offset + 8, length, digest]
  return [offset, 4105392, 'bc927aa41f0abb6249c7f574218f7970305ea59b68593049a420878c7e95d436']
})

/** Content without a place to cut at is cut at the longest chunk. */
export const GOLDEN_UNIFORM: readonly (readonly [byte: number, chunks: readonly GoldenChunk[]])[] =
  [
    [
      0x00,
      [
        [0, 16777216, '080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e'],
        [16777216, 4194304, 'bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8'],
      ],
    ],
    [
      0xff,
      [
        [0, 16777216, 'dffab0dd410657cb30c7b2fd7f2586a4792e8472e58882b3532581f8111a646d'],
        [16777216, 4194304, 'cd3517473707d59c3d915b52a3e16213cadce80d9ffb2b4371958fb7acb51a08'],
      ],
    ],
  ]
export const UNIFORM_LENGTH = 20 * MIB

/** The chunks that lengths make of content. */
export function chunksOf(content: Uint8Array, lengths: readonly number[]): GoldenChunk[] {
  let offset = 0
  return lengths.map((length) => {
    const chunk = [offset, length, sha256(content.subarray(offset, offset + length))] as const
    offset += length
    return chunk
  })
}
