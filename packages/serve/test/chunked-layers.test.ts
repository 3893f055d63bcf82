import { randomBytes } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { type Descriptor, digestOf, parseManifest } from '@s3lo/core'
import { type MemoryBackend, putChunkedImage } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ServedStore, serveMemory } from './support/served-store.ts'

const CHUNK = 1000
const content = Buffer.concat([Buffer.alloc(CHUNK, 'a'), randomBytes(2 * CHUNK + 100)])
const app = { name: 'app', tag: 'v1' }
let served: ServedStore<MemoryBackend>
let layer: Descriptor

beforeEach(async () => {
  served = await serveMemory()
})
afterEach(() => served[Symbol.asyncDispose]())

async function putLayer(
  options: Partial<Parameters<typeof putChunkedImage>[2]> = {},
): Promise<void> {
  const given = { layers: [content], chunkSize: CHUNK, ...options }
  const { content: root } = await putChunkedImage(served.backend, app, given)
  const manifest = parseManifest(root, 'app:v1')
  const [first] = manifest.kind === 'manifest' ? manifest.layers : []
  if (!first) throw new Error('the fixture has no layer')
  layer = first
}

const path = (): string => `/v2/app/blobs/${layer.digest}`

describe.each([1, 2] as const)('a layer in chunks of format %d', (format) => {
  beforeEach(() => putLayer({ format }))

  it('is given as the stream that its digest is of', async () => {
    const { status, headers, body } = await served.ask(path())
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-length': `${layer.size}`,
      'docker-content-digest': layer.digest,
    })
    expect(digestOf(body)).toBe(layer.digest)
  })

  it('has its size', async () => {
    const { status, headers } = await served.ask(path(), { method: 'HEAD' })
    expect([status, headers['content-length']]).toEqual([200, `${layer.size}`])
  })

  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=5-1500', 5, 1501],
    ['bytes=1000-', 1000, undefined],
    ['bytes=-7', -7, undefined],
  ])('is given in the range %s', async (range, start, end) => {
    const whole = (await served.ask(path())).body
    const { status, headers, body } = await served.ask(path(), { headers: { range } })
    const expected = whole.subarray(start, end)
    const first = start < 0 ? whole.length + start : start
    expect(status).toBe(206)
    expect(headers['content-range']).toBe(
      `bytes ${first}-${first + expected.length - 1}/${whole.length}`,
    )
    expect(body).toEqual(expected)
  })

  it('is not given to its end when a chunk is gone', async () => {
    const chunks: string[] = []
    for await (const { key } of served.backend.list('')) {
      if (key.includes('chunks/')) chunks.push(key)
    }
    await served.backend.delete(chunks)
    await expect(wholeBody()).rejects.toThrow()
    expect((await served.ask('/v2/')).status).toBe(200)
  })
})

it('a stream of another digest than the recipe claims (W17) is not given to its end', async () => {
  const encode = (raw: Uint8Array): Uint8Array =>
    zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 0 } })
  await putLayer({ encode })
  await putLayer()
  await expect(wholeBody()).rejects.toThrow()
})

it.each<[string, (recipe: Recipe) => void]>([
  ['a digest of three characters (W4)', ({ chunks }) => (chunks[0]!.digest = 'abc')],
  ['a path for a digest (W3)', (recipe) => (recipe.layer = '../../evil')],
  ['a chunk of a negative size (W5)', ({ chunks }) => (chunks[0]!.size = -1)],
  ['a chunk of a GiB (W5)', ({ chunks }) => (chunks[0]!.size = 1 << 30)],
])('a recipe with %s is an error of one request', async (_, spoil) => {
  await putLayer()
  const key = `recipes/sha256/${layer.digest.slice('sha256:'.length)}`
  const { body } = await served.backend.get(key)
  const recipe = JSON.parse(await text(body)) as Recipe
  spoil(recipe)
  await served.backend.put(key, Buffer.from(JSON.stringify(recipe)))
  for (const method of ['HEAD', 'GET']) {
    const { status } = await served.ask(path(), { method })
    expect(status, method).toBeGreaterThanOrEqual(500)
  }
  expect((await served.ask('/v2/')).status).toBe(200)
})

it('a chunk that decodes to more than its recipe says (W5) ends the answer', async () => {
  await putLayer()
  const key = `chunks/sha256/${digestOf(content.subarray(0, CHUNK)).slice('sha256:'.length)}`
  await served.backend.put(key, zstdCompressSync(Buffer.alloc(64 * 1024 * 1024)))
  await expect(wholeBody()).rejects.toThrow()
})

interface Recipe {
  layer: string
  readonly chunks: { digest: string; size: number }[]
}

/** Throws unless the answer is a success that is as long as it says. */
async function wholeBody(): Promise<Buffer> {
  const { status, body } = await served.ask(path())
  if (status === 200 && body.length === layer.size) return body
  throw new Error(`expected the blob, got an answer of status ${status}`)
}
