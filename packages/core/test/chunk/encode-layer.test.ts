import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { ChunkRecipe } from '../../src/chunk/chunk-recipe.ts'
import { cutChunks, type RawChunk } from '../../src/chunk/cut-chunks.ts'
import {
  encodeLayer,
  type EncodeLayerOptions,
  type Frame,
  frameOfChunk,
} from '../../src/chunk/encode-layer.ts'
import { encodeFrame } from '../../src/chunk/frame.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { decompress } from '../../src/stream/decompress.ts'

const MIB = 1024 * 1024
/** Cut at 16 and at 32 MiB. */
const UNIFORM = Buffer.alloc(35 * MIB, 'x')

async function* pieces(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += MIB) yield content.subarray(at, at + MIB)
}

async function encoded(
  content: AsyncIterable<Uint8Array>,
  options?: EncodeLayerOptions,
): Promise<{ readonly frames: readonly Uint8Array[]; readonly recipe: ChunkRecipe }> {
  const frames: Uint8Array[] = []
  const layer = encodeLayer(cutChunks(content), options)
  let step = await layer.next()
  for (; !step.done; step = await layer.next()) frames.push(step.value.bytes)
  return { frames, recipe: step.value }
}

it('a layer is its frames one after the other, and its recipe says which', async () => {
  const { frames, recipe } = await encoded(pieces(UNIFORM))
  const blob = Buffer.concat(frames)
  expect(recipe.layer).toEqual({ digest: digestOf(blob), size: blob.length })
  expect(recipe.content).toEqual({ digest: digestOf(UNIFORM), size: UNIFORM.length })
  expect(recipe.chunks.map(({ size }) => size)).toEqual([16 * MIB, 16 * MIB, 3 * MIB])
  expect(recipe.chunks[0]).toEqual(recipe.chunks[1])
  expect(recipe.chunks.map(({ frame }) => frame)).toEqual(frames.map((frame) => digestOf(frame)))
  const decoded = await Array.fromAsync(decompress(Readable.from([blob]), 'zstd', 'the layer'))
  expect(Buffer.concat(decoded).equals(UNIFORM)).toBe(true)
})

it('a layer without content has no chunks', async () => {
  const { frames, recipe } = await encoded(pieces(Buffer.of()))
  const nothing = { digest: digestOf(Buffer.of()), size: 0 }
  expect([frames, recipe]).toEqual([[], { layer: nothing, content: nothing, chunks: [] }])
})

it('a frame that is stored already takes the place of a new one', async () => {
  const bytes = await encodeFrame(Buffer.from('of another encoder'))
  const known = { bytes, digest: digestOf(bytes) }
  const { frames, recipe } = await encoded(pieces(UNIFORM.subarray(0, 17 * MIB)), {
    frameOf: async (chunk) => (chunk.offset === 0 ? known : frameOfChunk(chunk)),
  })
  expect(frames[0]).toBe(bytes)
  expect(recipe.layer.digest).toBe(digestOf(Buffer.concat(frames)))
})

it('no more chunks are cut than are encoded or wait to be taken', async () => {
  let taken = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const bytes of pieces(UNIFORM)) {
      taken += bytes.length
      yield bytes
    }
  }
  const layer = encodeLayer(cutChunks(counted()), { parallel: 1 })
  await layer.next()
  for (let i = 0; i < 50; i++) await setImmediate()
  // The next chunk is cut while the first one is sent, and then nothing is read.
  expect(taken).toBeLessThanOrEqual(33 * MIB)
  await layer.return(undefined as never)
})

it('the first failure ends it, and what was begun has ended then', async () => {
  let open = 0
  const frameOf = async ({ offset }: RawChunk, signal: AbortSignal): Promise<Frame> => {
    if (offset > 0) throw new Error('no space')
    open += 1
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    open -= 1
    return { bytes: Buffer.of(1), digest: '' }
  }
  const stop = new AbortController()
  const running = encoded(pieces(UNIFORM), { frameOf, parallel: 2, signal: stop.signal })
  stop.abort(new Error('stop'))
  await expect(running).rejects.toThrow('stop')
  expect(open).toBe(0)
  await expect(encoded(broken())).rejects.toThrow('the engine has gone')
})

async function* broken(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(10)
  throw new Error('the engine has gone')
}
