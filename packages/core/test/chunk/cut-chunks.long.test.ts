import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { formatChunkRecipe, parseChunkRecipe } from '../../src/chunk/chunk-recipe.ts'
import { cutChunks } from '../../src/chunk/cut-chunks.ts'
import { encodeLayer } from '../../src/chunk/encode-layer.ts'
import { decodeFrame, type StoredChunk } from '../../src/chunk/frame.ts'
import { chunkRecipeKey } from '../../src/layout/chunk-keys.ts'
import { decompress } from '../../src/stream/decompress.ts'
import { tarFile } from '../../src/testing/tar-fixture.ts'
import {
  chunksOf,
  GOLDEN,
  GOLDEN_INSERTED,
  GOLDEN_LENGTH,
  GOLDEN_SHA256,
  GOLDEN_UNIFORM,
  type GoldenChunk,
  goldenStream,
  INSERTED,
  sha256,
  UNIFORM_LENGTH,
} from './golden.ts'
import { plainCuts } from './plain-cutter.ts'

it('the module and the plain definition cut as the table says, after an insertion too', async () => {
  const stream = goldenStream(GOLDEN_LENGTH)
  expect(sha256(stream)).toBe(GOLDEN_SHA256)
  const { at, bytes } = INSERTED
  const inserted = Buffer.concat([stream.subarray(0, at), bytes, stream.subarray(at)])
  expect(chunksOf(stream, plainCuts(stream))).toEqual(GOLDEN)
  expect(chunksOf(inserted, plainCuts(inserted))).toEqual(GOLDEN_INSERTED)
  expect(await cutByModule(stream)).toEqual(GOLDEN)
  expect(await cutByModule(inserted)).toEqual(GOLDEN_INSERTED)
  for (const [byte, chunks] of GOLDEN_UNIFORM) {
    const uniform = Buffer.alloc(UNIFORM_LENGTH, byte)
    expect(chunksOf(uniform, plainCuts(uniform))).toEqual(chunks)
  }
})

it('300 random tars and a mutation of each come back, and keep the chunks before it', async () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = randomOf(seed)
    const files = Array.from({ length: 1 + random(12) }, (_, i) => fileOf(`f${i}`, random))
    const before = await roundTrip(Buffer.concat(files))
    const place = random(files.length)
    const changedAt = Buffer.concat(files.slice(0, place)).length
    files[place] = fileOf('changed', random)
    const after = await roundTrip(Buffer.concat(files))
    let end = 0
    const kept = before.filter(({ size }) => (end += size) <= changedAt)
    expect(after.slice(0, kept.length)).toEqual(kept)
  }
}, 600_000)

async function cutByModule(content: Uint8Array): Promise<GoldenChunk[]> {
  const chunks = await Array.fromAsync(cutChunks(only(content)))
  return chunks.map(({ offset, bytes, digest }) => [offset, bytes.length, digest.slice(7)])
}

/** Stores a layer in memory and reads it back; gives its chunks. */
async function roundTrip(tar: Buffer): Promise<readonly StoredChunk[]> {
  const frames: Uint8Array[] = []
  const layer = encodeLayer(cutChunks(only(tar)))
  let step = await layer.next()
  for (; !step.done; step = await layer.next()) frames.push(step.value.bytes)
  const key = chunkRecipeKey(step.value.layer.digest)
  const recipe = parseChunkRecipe(formatChunkRecipe(step.value), key)
  expect(recipe).toEqual(step.value)
  const blob = Buffer.concat(frames)
  const digest = createHash('sha256').update(blob).digest('hex')
  expect(recipe.layer).toEqual({ digest: `sha256:${digest}`, size: blob.length })
  // Any client that knows zstd reads the whole blob as one stream.
  const decoded = await Array.fromAsync(decompress(Readable.from([blob]), 'zstd', 'the layer'))
  expect(Buffer.concat(decoded).equals(tar)).toBe(true)
  const chunks = await Promise.all(recipe.chunks.map((chunk, i) => decodeFrame(chunk, frames[i]!)))
  expect(Buffer.concat(chunks).equals(tar)).toBe(true)
  return recipe.chunks
}

/** Numbers below a bound, the same for a seed (xorshift). */
function randomOf(seed: number): (below: number) => number {
  let state = (seed + 1) * 0x9e37_79b9
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function fileOf(name: string, random: (below: number) => number): Buffer {
  const length = random(2) === 0 ? random(5000) : random(1_500_000)
  return tarFile(name, random(3) === 0 ? randomBytes(length) : Buffer.alloc(length, random(256)))
}

async function* only(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}
