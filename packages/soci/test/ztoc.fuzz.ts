import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { isS3loError } from '@s3lo/core/plugin'
import * as fc from 'fast-check'
import { extractEntry } from '../src/ztoc/extract.ts'
import { decodeZtoc, encodeZtoc } from '../src/ztoc/flatbuffer.ts'
import { type OpenZtoc, openZtoc } from '../src/ztoc/read.ts'
import { parseGzipZinfo, parseTarZinfo } from '../src/ztoc/zinfo.ts'
import { ZtocBuilder } from '../src/ztoc/ztoc-builder.ts'
import { LAYERS, tarB, tarC, tarH } from './ztoc/tar-fixture.ts'

/** Layers of every form; spans of a few blocks, so that there are several. */
const layers: readonly Buffer[] = [
  LAYERS.A,
  LAYERS.B,
  LAYERS.E,
  LAYERS.H,
  gzipSync(tarH, { memLevel: 1 }),
  gzipSync(tarC, { level: 0 }),
  tarB,
  tarH,
]
const samples = layers.map((layer) => ({ layer, ztoc: build([layer], 2048) }))

/** An edit: bytes overwritten, cut out or put in; positions near either end, where structure is. */
const edit = fc.record({
  at: fc.oneof(fc.nat(400), fc.nat()),
  fromEnd: fc.boolean(),
  cut: fc.oneof(fc.constant(-1), fc.nat(20), fc.nat(5000)),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 9 }),
    fc
      .constantFrom('00000000', 'ffffffff', 'ffffff7f', '00000080', 'ffffffffffffff7f')
      .map((hex) => Uint8Array.from(Buffer.from(hex, 'hex'))),
  ),
})
const edits = fc.array(edit, { maxLength: 6 })
type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never

/** Applies edits; a `cut` of -1 overwrites as many bytes as are put in. */
function edited(content: Uint8Array, changes: readonly Edit[]): Buffer {
  return changes.reduce((bytes, { at, fromEnd, cut, bytes: added }) => {
    const place = at % (bytes.length + 1)
    const start = fromEnd ? bytes.length - place : place
    const end = start + (cut < 0 ? added.length : cut)
    return Buffer.concat([bytes.subarray(0, start), added, bytes.subarray(end)])
  }, Buffer.from(content))
}

/** The result, or `undefined` for an error of ours that blames the input; any other is a finding. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (isRefusal(error)) return undefined
    throw error
  }
}

function isRefusal(error: unknown): boolean {
  return isS3loError(error, 'INTEGRITY') || isS3loError(error, 'UNSUPPORTED')
}

function build(pieces: readonly Uint8Array[], spanSize: number): Uint8Array {
  const builder = new ZtocBuilder({ spanSize })
  for (const piece of pieces) builder.push(piece)
  return builder.finish().content
}

/** What every reader relies on: spans in order inside the layer, entries that do not overlap. */
function isSound({ ztoc, spans, entries }: OpenZtoc): boolean {
  const inOrder = spans.every(
    ({ compressedStart, compressedEnd, inflate }, i) =>
      compressedStart >= 0 &&
      compressedStart < compressedEnd &&
      compressedEnd <= ztoc.compressedSize &&
      (i === 0 || compressedEnd > (spans[i - 1]?.compressedEnd ?? 0)) &&
      (inflate === undefined || inflate.window.length === 32_768),
  )
  const apart = entries.every(
    ({ entry, headerOffset }) => headerOffset <= entry.offset && entry.size >= 0,
  )
  return inOrder && apart
}

/** Reads every entry; true when what comes is of the size that the entry says. */
async function readsOrRefuses(opened: OpenZtoc, layer: Buffer): Promise<boolean> {
  for (const located of opened.entries.slice(0, 20)) {
    try {
      let size = 0
      const content = extractEntry(opened, located, async ({ start, end }) =>
        Readable.from([layer.subarray(start, end)]),
      )
      for await (const chunk of content) size += chunk.length
      if (located.entry.type === 'reg' && size !== located.entry.size) return false
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
  }
  return true
}

const anySample = fc.constantFrom(...samples)

/** What `pnpm fuzz` runs, by name. */
export const properties = {
  'bytes of a zTOC': fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc.tuple(anySample, edits).map(([{ ztoc }, changes]) => edited(ztoc, changes)),
    ),
    (content) => {
      const ztoc = attempt(() => decodeZtoc(content))
      if (!ztoc) return true
      const opened = attempt(() => openZtoc(ztoc))
      if (opened && !isSound(opened)) return false
      // Written again it says the same.
      const again = decodeZtoc(encodeZtoc(ztoc))
      return (
        again.spanDigests.length === ztoc.spanDigests.length &&
        Buffer.compare(again.checkpoints, ztoc.checkpoints) === 0 &&
        again.entries.every(({ name, offset, size }, i) => {
          const entry = ztoc.entries[i]
          return name === entry?.name && offset === entry.offset && size === entry.size
        })
      )
    },
  ),
  'a changed zTOC of a whole layer': fc.asyncProperty(
    anySample,
    edits,
    async ({ layer, ztoc }, changes) => {
      const opened = attempt(() => openZtoc(decodeZtoc(edited(ztoc, changes))))
      return opened === undefined || readsOrRefuses(opened, layer)
    },
  ),
  'a changed layer of a whole zTOC': fc.asyncProperty(
    anySample,
    edits,
    ({ layer, ztoc }, changes) =>
      readsOrRefuses(openZtoc(decodeZtoc(ztoc)), edited(layer, changes)),
  ),
  'checkpoints of gzip and of a plain tar': fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(anySample, edits)
        .map(([{ ztoc }, changes]) => edited(decodeZtoc(ztoc).checkpoints, changes)),
    ),
    (content) => {
      const gzip = attempt(() => parseGzipZinfo(content))
      const plain = attempt(() => parseTarZinfo(content))
      const bytes = (gzip?.checkpoints.length ?? 0) * 32_768
      const isBounded = bytes <= content.length + 32_768
      return isBounded && (plain === undefined || (plain.spanSize > 0 && plain.size >= 0))
    },
  ),
  'layers that are indexed': fc.property(
    fc.constantFrom(...layers),
    edits,
    fc.integer({ min: 0, max: 5000 }),
    fc.integer({ min: 1, max: 3000 }),
    (layer, changes, spanSize, least) => {
      const content = edited(layer, changes)
      const pieceSize = Math.max(least, Math.ceil(content.length / 300))
      const pieces = Array.from({ length: Math.ceil(content.length / pieceSize) }, (_, i) =>
        content.subarray(i * pieceSize, (i + 1) * pieceSize),
      )
      const isPlain = content[0] !== 0x1f || content[1] !== 0x8b
      const span = isPlain ? Math.max(1, spanSize) : spanSize
      const whole = attempt(() => build([content], span))
      const inPieces = attempt(() => build(pieces, span))
      if (!whole || !inPieces) return whole === inPieces
      // What we make, however it came, our own reader accepts.
      return Buffer.compare(whole, inPieces) === 0 && isSound(openZtoc(decodeZtoc(whole)))
    },
  ),
}
