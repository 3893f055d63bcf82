import { beforeEach, expect, it } from 'vitest'
import type { LayerReader, LayerReaderContext } from '../../src/contract/layer-reader.ts'
import { layerIndexKey } from '../../src/layout/keys.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { parseManifest } from '../../src/oci/document.ts'
import { cat } from '../../src/operations/cat.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  imageFixture,
  MemoryBackend,
  putImage,
  TAR_END,
  tarFile,
} from '../../src/testing/index.ts'
import { TarToc } from '../../src/tar/tar-toc.ts'

const REFERENCE = { name: 'app', tag: 'v1' }
const LAYERS = ['low', 'middle', 'top'].map((name) =>
  Buffer.concat([tarFile(name, `${name}!`), TAR_END]),
)
const IMAGE = imageFixture({ layers: LAYERS })
const parsed = parseManifest(IMAGE.root.content, 'image')
const KEYS = (parsed.kind === 'manifest' ? parsed.layers : []).map(({ digest }) =>
  layerIndexKey('test', digest),
)

let backend: MemoryBackend
let calls: string[]
let store: ImageStore

/** Opens a layer through a kept index that is the layer itself. */
const module = {
  async openLayer(
    layer: Descriptor,
    { indexes }: LayerReaderContext,
  ): Promise<LayerReader | undefined> {
    const content = await indexes.read(layer)
    calls.push(`opened ${layerIndexKey('test', layer.digest)}`)
    if (!content) return undefined
    const toc = new TarToc()
    toc.push(content)
    const { entries } = toc
    return {
      entries,
      async *read({ offset, size }) {
        yield content.subarray(offset, offset + size)
      },
    }
  },
  indexLayer: () => Promise.resolve(undefined),
}

beforeEach(async () => {
  backend = new MemoryBackend()
  calls = []
  await putImage(backend, REFERENCE, IMAGE)
  for (const [i, key] of KEYS.entries()) await backend.put(key, LAYERS[i] ?? Buffer.of())
  const noted = new FaultyBackend(backend, {
    before: ({ method, key }) => {
      if (method === 'get') calls.push(key)
    },
  })
  store = new ImageStore(noted)
})

async function read(path: string): Promise<string> {
  let text = ''
  const take = async (content: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of content) text += Buffer.from(chunk).toString()
  }
  const reader = { name: 'test', module }
  await cat(store, REFERENCE, path, take, { reader, platform: 'linux/amd64' })
  return text
}

it('the index of the top layer is asked for before the platform is known', async () => {
  expect(await read('/top')).toBe('top!')
  expect(calls.indexOf(KEYS[2] ?? '')).toBe(1)
})

it('the index of the layer below is asked for while one is opened, and each once', async () => {
  expect(await read('/low')).toBe('low!')
  const [low = '', middle = '', top = ''] = KEYS
  expect(calls.indexOf(middle)).toBeLessThan(calls.indexOf(`opened ${top}`))
  expect(calls.indexOf(low)).toBeLessThan(calls.indexOf(`opened ${middle}`))
  for (const key of KEYS) expect(calls.filter((call) => call === key)).toHaveLength(1)
})
