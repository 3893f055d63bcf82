import { beforeEach, describe, expect, it } from 'vitest'
import { cosignTagsOf } from '../../src/oci/referrer-tag.ts'
import { history } from '../../src/operations/history.ts'
import { list } from '../../src/operations/list.ts'
import { stats } from '../../src/operations/stats.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one'] })
const [SIG = '', ATT = ''] = cosignTagsOf(image.root.descriptor.digest)
const INDEX = SIG.slice(0, -'.sig'.length)
const OURS = ['latest', 'v1']
const THEIRS = [INDEX, ATT, SIG].toSorted()

let store: ImageStore

beforeEach(async () => {
  const backend = new MemoryBackend()
  for (const tag of OURS) await putImage(backend, { name: 'app', tag }, image)
  for (const tag of THEIRS) {
    await putImage(backend, { name: 'app', tag }, imageFixture({ layers: [tag] }))
  }
  await putImage(backend, { name: 'signatures', tag: SIG }, imageFixture({ layers: ['alone'] }))
  store = new ImageStore(backend)
})

describe('tags of what refers to images', () => {
  it('are listed only when they are asked for', async () => {
    expect(await list(store.backend)).toEqual([{ name: 'app', tags: OURS }])
    expect(await list(store.backend, '', { all: true })).toEqual([
      { name: 'app', tags: [...OURS, ...THEIRS].toSorted() },
      { name: 'signatures', tags: [SIG] },
    ])
  })

  it('take no place of a window', async () => {
    await putImage(store.backend, { name: 'web', tag: 'v1' }, image)
    const names = (await list(store.backend, '', { limit: 2 })).map(({ name }) => name)
    expect(names).toEqual(['app', 'web'])
  })

  it('are no pushes of an image, unless all or they are asked for', async () => {
    const tagsOf = async (name: string, all = false): Promise<readonly string[]> => {
      const found = await history(store, name, { all })
      return found.of === 'image' ? found.rows.map(({ tag }) => tag).toSorted() : []
    }
    expect(await tagsOf('app')).toEqual(OURS)
    expect(await tagsOf('app', true)).toEqual([...OURS, ...THEIRS].toSorted())
    expect(await tagsOf(`app:${SIG}`)).toEqual([SIG])
  })

  it('do not count in the history of a store', async () => {
    expect(await history(store, '')).toMatchObject({ rows: [{ name: 'app', tags: 2 }] })
    const all = await history(store, '', { all: true })
    expect(all.rows).toHaveLength(2)
  })

  it('are counted apart', async () => {
    expect(await stats(store)).toMatchObject({ images: 1, tags: 2, referrer_tags: 4 })
  })
})
