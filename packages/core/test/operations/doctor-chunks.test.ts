import { randomBytes } from 'node:crypto'
import { buffer, text } from 'node:stream/consumers'
import { constants, zstdCompressSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { formatTableHead } from '../../src/chunk/layer-table.ts'
import { formatTableEntry } from '../../src/chunk/table-entry.ts'
import { LAYER_TABLES_PREFIX, layerTableKey } from '../../src/layout/chunk-keys.ts'
import { chunkKey, manifestKey, recipeKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/document.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { readLayerTable } from '../../src/store/read-table.ts'
import {
  imageFixture,
  MemoryBackend,
  putChunkedImage,
  putImage,
  TAR_END,
  tarFile,
} from '../../src/testing/index.ts'

const CHUNK = 1000
const content = randomBytes(1500)
const key = chunkKey(digestOf(content.subarray(0, CHUNK)))
const app = { name: 'app', tag: 'v1' }

let backend: MemoryBackend
/** The digest of the layer's blob. */
let layer: string

beforeEach(async () => {
  backend = new MemoryBackend()
  await putImage(backend, { name: 'app', tag: 'whole' }, imageFixture({ layers: ['other'] }))
  layer = await push()
})

/** Stores the layer as the Go program does, and returns the digest of its blob. */
async function push(encode?: (raw: Uint8Array) => Uint8Array): Promise<string> {
  const root = await putChunkedImage(backend, app, {
    layers: [content],
    chunkSize: CHUNK,
    ...(encode ? { encode } : {}),
  })
  const manifest = parseManifest(root.content, root.descriptor.digest)
  return (manifest.kind === 'manifest' && manifest.layers[0]?.digest) || ''
}

const check = (deep = false): ReturnType<typeof doctor> =>
  doctor(new ImageStore(backend), '', { probe: false, deep })

describe('a layer in chunks', () => {
  it.each([false, true])('that is whole is a part of a whole tag (deep: %s)', async (deep) => {
    const report = await check(deep)
    expect(report).toMatchObject({ broken: false, ok: true })
    expect(report.recoded_tags).toBeUndefined()
    expect(report.findings.map(({ message }) => message)).toContain('2 tags are whole')
  })

  it.each<[string, string, () => Promise<unknown>]>([
    ['of which one is gone', 'missing', () => backend.delete([key])],
    ['of which one is cut', 'damaged', () => backend.put(key, Buffer.from('tw'))],
    [
      'whose list is torn',
      'damaged',
      () => backend.put(recipeKey(layer), Buffer.from('{"chunks":')),
    ],
    [
      'whose list names no digest',
      'damaged',
      () => backend.put(recipeKey(layer), Buffer.from('{"chunks":[{"digest":"../x"}]}')),
    ],
  ])('%s is a %s blob', async (_, problem, spoil) => {
    await spoil()
    const blobs = [{ digest: layer, role: 'layer', problem }]
    const report = await check()
    expect(report).toMatchObject({ broken: true, manifest_issues: [{ image: 'app:v1', blobs }] })
  })

  it('of which one has other bytes of the same length is found by a deep look', async () => {
    const frame = await backend.head(key)
    await backend.put(key, Buffer.alloc(frame?.size ?? 0))
    expect(await check()).toMatchObject({ broken: false })
    expect(await check(true)).toMatchObject({ broken: true })
  })

  it('that another encoder had stored before is named, and its tag is not broken', async () => {
    backend = new MemoryBackend()
    await push((raw) => zstdCompressSync(raw, { params: { [constants.ZSTD_c_checksumFlag]: 0 } }))
    await push()
    const report = await check()
    expect(report).toMatchObject({ broken: false, recoded_tags: ['app:v1'] })
    const messages = report.findings.map(({ message }) => message)
    expect(messages).toContainEqual(expect.stringContaining('app:v1 can be pulled into an engine'))
  })

  it('whose stream has another digest than the manifest names is found by a deep look', async () => {
    const named = digestOf(Buffer.from('what another encoder would have made'))
    const { body } = await backend.get(manifestKey(app))
    const manifest = await text(body)
    await backend.put(manifestKey(app), Buffer.from(manifest.replace(layer, named)))
    await backend.put(recipeKey(named), await buffer((await backend.get(recipeKey(layer))).body))
    expect((await check()).recoded_tags).toBeUndefined()
    expect(await check(true)).toMatchObject({ broken: false, recoded_tags: ['app:v1'] })
  })
})

describe('chunks in the bucket', () => {
  const own = { name: 'own', tag: 'v1' }
  const put = (format: 1 | 2) =>
    putChunkedImage(backend, own, { layers: [randomBytes(1500)], chunkSize: CHUNK, format })
  const stamp = (text: string) => backend.put('s3lo.yaml', Buffer.from(text))
  const sizes = async (prefix: string): Promise<number> => {
    const infos = await Array.fromAsync(backend.list(prefix))
    return infos.reduce((sum, { size }) => sum + size, 0)
  }

  beforeEach(() => {
    backend = new MemoryBackend()
  })

  it.each([
    [1, 'chunks/', 'recipes/', '--go-writers-stopped'],
    [2, '.s3lo/chunks/', '.s3lo/recipes/', '--confirm'],
  ] as const)('of format %d that no layer needs are counted', async (...given) => {
    const [format, chunks, recipes, hint] = given
    await put(format)
    await stamp(`chunk_format: ${format}\n`)
    const whole = await check()
    expect(whole).toMatchObject({ ok: true, orphaned_blobs: 0 })
    expect(whole).not.toHaveProperty('orphaned_chunks')
    // A recipe whose layer no image names keeps its chunks for a round longer, and no more.
    await backend.delete([manifestKey(own)])
    const orphans = { orphaned_chunks: 2, orphaned_chunk_bytes: await sizes(chunks) }
    expect(await check()).toMatchObject({ ...orphans, orphaned_blobs: 2 })
    const infos = await Array.fromAsync(backend.list(recipes))
    await backend.delete(infos.map((info) => info.key))
    const report = await check()
    expect(report).toMatchObject({ ...orphans, orphaned_blobs: 1 })
    expect(report.findings).toContainEqual({
      severity: 'notice',
      message: expect.stringContaining(`of ${orphans.orphaned_chunk_bytes} bytes belong to no`),
      hint: expect.stringContaining(hint),
    })
  })

  it('that a recipe names which cannot be read are counted, with that doubt', async () => {
    await put(2)
    const [recipe] = await Array.fromAsync(backend.list('.s3lo/recipes/'))
    await backend.put(recipe?.key ?? '', Buffer.from('{'))
    const report = await check()
    expect(report).toMatchObject({ broken: true, orphaned_chunks: 2 })
    const messages = report.findings.map(({ message }) => message)
    expect(messages).toContainEqual(expect.stringMatching(/^2 chunks .*unreadable recipes/))
  })

  it.each([
    ['chunk_format: 1\n', 2, 'says chunk_format: 1, and the bucket has 2 chunks of format 2'],
    ['chunk_format: 2\n', 1, 'says chunk_format: 2, and the bucket has 2 chunks of format 1'],
    ['chunk_format: 3\n', 2, 'says chunk_format: 3, and the bucket has 2 chunks of format 2'],
    ['chunked: true\n', 2, 'has no chunk_format, and the bucket has 2 chunks of format 2'],
    ['', 1, 'has no chunk_format, and the bucket has 2 chunks of format 1'],
  ] as const)('under the settings %j are of format %d: named', async (text, format, message) => {
    await put(format)
    await stamp(text)
    const { findings, ok } = await check()
    expect(ok).toBe(true)
    expect(findings).toContainEqual({
      severity: 'notice',
      message: `s3lo.yaml ${message}`,
      hint: expect.stringMatching(/push .* again|write chunk_format: [12] into|correct s3lo.yaml/),
    })
  })

  it.each([1, 2] as const)(
    'of format %d are as the stamp says: nothing is named',
    async (format) => {
      await put(format)
      await stamp(`chunk_format: ${format}\n`)
      const { findings } = await check()
      expect(findings.filter(({ message }) => message.includes('chunk_format'))).toEqual([])
    },
  )
})

describe('a layer in chunks of format 2', () => {
  const CHUNKS = '.s3lo/chunks/'

  beforeEach(async () => {
    const options = { layers: [randomBytes(1500)], chunkSize: CHUNK, format: 2 } as const
    await putChunkedImage(backend, { name: 'own', tag: 'v1' }, options)
  })

  const chunkKeys = async (): Promise<readonly string[]> =>
    (await Array.fromAsync(backend.list(CHUNKS))).map((info) => info.key)

  it.each([false, true])('that is whole is a part of a whole tag (deep: %s)', async (deep) => {
    expect(await check(deep)).toMatchObject({ broken: false, orphaned_blobs: 0 })
  })

  it.each<[string, string, boolean, (key: string) => Promise<unknown>]>([
    ['of which one is gone', 'missing', false, (each) => backend.delete([each])],
    ['of which one is cut', 'damaged', false, (each) => backend.put(each, Buffer.from('tw'))],
    ['of which one has other bytes', 'damaged', true, (each) => flipLast(each)],
  ])('%s breaks its tag', async (_, problem, deep, damage) => {
    const [first = ''] = await chunkKeys()
    await damage(first)
    const { manifest_issues: issues } = await check(deep)
    expect(issues).toMatchObject([{ image: 'own:v1', blobs: [{ role: 'layer', problem }] }])
  })

  describe('with a table of contents', () => {
    const OTHER = { name: 'other', tag: 'v1' }
    let tables: readonly string[]

    beforeEach(async () => {
      const layers = ['a', 'b'].map((name) => Buffer.concat([tarFile(name, name), TAR_END]))
      await putChunkedImage(backend, OTHER, { layers, chunkSize: CHUNK, format: 2 })
      tables = (await Array.fromAsync(backend.list(LAYER_TABLES_PREFIX))).map((info) => info.key)
    })

    it.each([false, true])('that is right is whole (deep: %s)', async (deep) => {
      const report = await check(deep)
      expect(report).toMatchObject({ ok: true, orphaned_blobs: 0 })
      expect(report.file_issues).toBeUndefined()
    })

    it.each<[string, boolean, (mine: string, other: Buffer) => Promise<unknown>]>([
      ['is torn', false, (mine) => backend.put(mine, Buffer.from('tw'))],
      ['is empty', false, (mine) => backend.put(mine, Buffer.alloc(0))],
      ['is of another layer', false, (mine, other) => backend.put(mine, other)],
      ['is cut', true, (mine) => cut(mine)],
      ['lies', true, (mine) => lie(mine)],
    ])('that %s is named, and its tag is not broken', async (_, deep, damage) => {
      const [mine = '', other = ''] = tables
      await damage(mine, await buffer((await backend.get(other)).body))
      const report = await check(deep)
      expect(report).toMatchObject({ broken: false, ok: false, file_issues: [{ key: mine }] })
    })

    it('that is of no layer is garbage', async () => {
      await backend.put(layerTableKey(digestOf(Buffer.from('none'))), Buffer.from('x'))
      expect(await check()).toMatchObject({ ok: true, orphaned_blobs: 1, orphaned_bytes: 1 })
    })

    async function cut(each: string): Promise<void> {
      const bytes = await buffer((await backend.get(each)).body)
      await backend.put(each, bytes.subarray(0, -9))
    }

    async function lie(each: string): Promise<void> {
      const digest = each.slice(-64)
      const { table } = (await readLayerTable(backend, `sha256:${digest}`))!
      const entries = table.entries.map((entry) => formatTableEntry({ ...entry, uid: 7 }, entry))
      const text = `${formatTableHead(table, 1)}${entries.join('\n')}\n`
      await backend.put(each, zstdCompressSync(text))
    }
  })

  async function flipLast(each: string): Promise<void> {
    const bytes = await buffer((await backend.get(each)).body)
    bytes[bytes.length - 1]! ^= 1
    await backend.put(each, bytes)
  }
})
