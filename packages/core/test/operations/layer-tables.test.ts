import { buffer } from 'node:stream/consumers'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { CHUNK_FRAMES_PREFIX, layerTableKey } from '../../src/layout/chunk-keys.ts'
import { cat } from '../../src/operations/cat.ts'
import { files } from '../../src/operations/files.ts'
import type { ImageFilesOptions } from '../../src/operations/image-files.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  MemoryBackend,
  putChunkedImage,
  TAR_END,
  tarFile,
  tarHeader,
} from '../../src/testing/index.ts'

/** Each file and its header are two chunks. */
const CHUNK = 1024
const APP = { name: 'app', tag: 'v1' }
const CONTENT = 'c'.repeat(1500)

const LOWER = Buffer.concat([
  tarHeader('etc/', { type: '5', mode: 0o755 }),
  tarFile('etc/below', 'of the lower layer'),
  TAR_END,
])
const UPPER = Buffer.concat([
  tarFile('etc/first', 'f'.repeat(512)),
  tarFile('etc/wanted', CONTENT),
  tarFile('etc/empty', ''),
  tarFile('etc/other', 'o'.repeat(1500)),
  TAR_END,
])

let inner: MemoryBackend
let backend: FaultyBackend
/** Tables, from the bottom layer up. */
let tables: readonly string[]
let notices: string[]

beforeEach(async () => {
  inner = new MemoryBackend()
  backend = new FaultyBackend(inner)
  const options = { layers: [LOWER, UPPER], chunkSize: CHUNK, format: 2 } as const
  const { manifest } = await putChunkedImage(inner, APP, options)
  const layers = manifest.kind === 'manifest' ? manifest.layers : []
  tables = layers.map(({ digest }) => layerTableKey(digest))
  notices = []
})

const OPTIONS: ImageFilesOptions = {
  platform: 'linux/amd64',
  onProgress: (event) => event.type === 'notice' && notices.push(event.message),
}

async function read(path: string, options: ImageFilesOptions = {}): Promise<string> {
  let content = Buffer.alloc(0)
  const take = async (given: AsyncIterable<Uint8Array>): Promise<void> => {
    content = Buffer.concat(await Array.fromAsync(given))
  }
  await cat(new ImageStore(backend), APP, path, take, { ...OPTIONS, ...options })
  return content.toString()
}

const list = async (path: string, options: ImageFilesOptions = {}): Promise<readonly string[]> =>
  (await files(new ImageStore(backend), APP, path, { ...OPTIONS, ...options })).map(
    (file) => file.path,
  )

/** The reads of each kind, in their order. */
const requests = (): readonly string[] =>
  backend.calls.map(({ key }) => key.split('/').slice(0, 2).join('/'))

const CHUNK_READ = CHUNK_FRAMES_PREFIX.split('/').slice(0, 2).join('/')

async function spoil(key: string, change: (text: string) => string): Promise<void> {
  const text = await plainText(key)
  const changed = change(text)
  expect(changed).not.toBe(text)
  await inner.put(key, zstdCompressSync(changed))
}

/** What is in all frames of an object. */
async function plainText(key: string): Promise<string> {
  const stored = await buffer((await inner.get(key)).body)
  const second = stored.indexOf(Buffer.of(0x28, 0xb5, 0x2f, 0xfd), 4)
  const frames = [stored.subarray(0, second), stored.subarray(second)]
  return frames.map((frame) => zstdDecompressSync(frame).toString()).join('')
}

describe('an image whose layers have tables', () => {
  it('is listed by its tables, and no chunk is read', async () => {
    const names = ['below', 'empty', 'first', 'other', 'wanted'].map((name) => `/etc/${name}`)
    expect(await list('/etc')).toEqual(names)
    // The config tells the platform.
    expect(requests()).toEqual(['manifests/app', 'blobs/sha256', '.s3lo/files', '.s3lo/files'])
    expect(notices).toEqual([])
  })

  it('gives a file by the chunks that hold it', async () => {
    expect(await read('/etc/wanted')).toBe(CONTENT)
    expect(requests().filter((key) => key === CHUNK_READ)).toHaveLength(2)
    // Whether the layer is whole, its recipe, and the config once more, which names the content.
    const found = ['manifests/app', 'blobs/sha256', '.s3lo/files']
    const opened = ['blobs/sha256', '.s3lo/recipes', 'blobs/sha256']
    expect(requests()).toEqual([...found, ...opened, CHUNK_READ, CHUNK_READ])
    backend.calls.length = 0
    expect(await read('/etc/below')).toBe('of the lower layer')
    expect(requests().filter((key) => key === CHUNK_READ)).toHaveLength(2)
    expect(requests().filter((key) => key === '.s3lo/files')).toHaveLength(2)
    expect(notices).toEqual([])
  })

  it('gives an empty file once its header was seen', async () => {
    expect(await read('/etc/empty')).toBe('')
    expect(requests().filter((key) => key === CHUNK_READ)).toHaveLength(1)
  })

  it('is read without them where layers are to be read whole', async () => {
    expect(await read('/etc/wanted', { wholeLayers: true })).toBe(CONTENT)
    expect(requests()).not.toContain('.s3lo/files')
  })

  it('fails for a file of which a chunk is damaged', async () => {
    for await (const { key } of inner.list(CHUNK_FRAMES_PREFIX)) {
      await inner.put(key, Buffer.from('x'))
    }
    await expect(read('/etc/wanted')).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await list('/etc')).toHaveLength(5)
  })
})

describe('a layer is read whole', () => {
  it('where it has no table, as in a bucket of before', async () => {
    await inner.delete(tables)
    expect(await list('/etc')).toHaveLength(5)
    expect(await read('/etc/wanted')).toBe(CONTENT)
    expect(notices).toEqual([])
  })

  it.each<[string, (key: string) => Promise<unknown>]>([
    ['is torn', (key) => inner.put(key, Buffer.from('tw'))],
    ['is empty', (key) => inner.put(key, Buffer.alloc(0))],
    ['is of another layer', async (key) => inner.put(key, (await inner.get(tables[0]!)).body)],
    ['is of a longer layer', (key) => spoil(key, (text) => text.replace('"size":', '"size":1'))],
    ['is of the next version', (key) => spoil(key, (text) => text.replace('"v":1', '"v":2'))],
    ['leaves an entry out', (key) => spoil(key, withoutFirst)],
  ])('where the table %s', async (_, damage) => {
    await damage(tables[1]!)
    expect(await list('/etc')).toHaveLength(5)
    expect(await read('/etc/wanted')).toBe(CONTENT)
    expect(notices).toEqual(
      [0, 0].map(() => expect.stringMatching(/\.s3lo\/files|the table of .*reading the whole/)),
    )
  })

  it.each<[string, (text: string) => string]>([
    ['the content', (text) => text.replace(digestAt(text, 'wanted'), digestAt(text, 'other'))],
    ['the name', (text) => text.replace(/wanted|other/g, swapped)],
    ['the owner', (text) => text.replace('"mode":420', '"mode":420,"uid":7')],
    ['the mode', (text) => text.replaceAll('"mode":420', '"mode":493')],
    ['the tar', (text) => text.replace(/"content":"../, '"content":"00')],
    ['the length', (text) => text.replace('"size":1500', '"size":1499')],
    [
      'where it is',
      (text) =>
        text.replace('"offset":1536', '"offset":2048,"headers":1024').replace(/1500/, '900'),
    ],
  ])('where the table lies about %s of a file', async (_, lie) => {
    await spoil(tables[1]!, lie)
    expect(await read('/etc/first')).toBe('f'.repeat(512))
    expect(await read('/etc/wanted')).toBe(CONTENT)
    expect(await read('/etc/other')).toBe('o'.repeat(1500))
    expect(notices.length).toBeGreaterThan(0)
  })

  it('and its table made again, where an index is wanted', async () => {
    await inner.put(tables[1]!, Buffer.from('tw'))
    expect(await read('/etc/wanted', { index: true })).toBe(CONTENT)
    backend.calls.length = 0
    expect(await read('/etc/wanted')).toBe(CONTENT)
    expect(requests().filter((key) => key === CHUNK_READ)).toHaveLength(2)
    expect(notices).toHaveLength(1)
  })
})

function withoutFirst(text: string): string {
  const [head = '', , ...rest] = text.split('\n')
  return [head.replace('"entries":4', '"entries":3'), ...rest].join('\n')
}

function swapped(name: string): string {
  return name === 'other' ? 'wanted' : 'other'
}

function digestAt(text: string, name: string): string {
  const line = text.split('\n').find((each) => each.includes(`etc/${name}`)) ?? ''
  return (JSON.parse(line) as { readonly sha256: string }).sha256
}
