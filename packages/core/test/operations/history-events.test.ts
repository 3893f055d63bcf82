import { beforeEach, describe, expect, it } from 'vitest'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { history } from '../../src/operations/history.ts'
import type { TagHistory } from '../../src/operations/past-tags.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FixtureSource,
  imageFixture,
  type ImageFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const V1 = { name: 'app', tag: 'v1' }
const PLACE = { scheme: 'memory', bucket: 'memory', image: 'app', ...V1 }
const [first, second] = ['one', 'two'].map((layer) => imageFixture({ layers: [layer] })) as [
  ImageFixture,
  ImageFixture,
]

let time: number
let store: ImageStore

beforeEach(() => {
  time = Date.UTC(2026, 0, 1)
  store = new ImageStore(new MemoryBackend({ now: () => new Date(time) }))
})

async function push(image: ImageFixture, to = V1): Promise<void> {
  time += 3_600_000
  const source = new FixtureSource({ 'app:v1': image })
  await copy({ source, reference: V1 }, { target: store, reference: to })
}

async function remove(): Promise<void> {
  time += 3_600_000
  await deleteTag(store, PLACE)
}

async function rowsOf(reference: string, all = false): Promise<readonly TagHistory[]> {
  const result = await history(store, reference, { all })
  return result.of === 'image' ? result.rows : []
}

function digestOf({ root }: ImageFixture): string {
  return root.descriptor.digest
}

describe('the history of a tag', () => {
  it('says when what it named before was moved, and on which machine', async () => {
    await push(first)
    await push(second)
    expect(await rowsOf('app', true)).toEqual([
      expect.objectContaining({ digest: digestOf(second), pushed_at: '2026-01-01T02:00:00Z' }),
      {
        tag: 'v1',
        digest: digestOf(first),
        pushed_at: '2026-01-01T01:00:00Z',
        size_bytes: expect.any(Number),
        superseded: true,
        ended: 'moved',
        ended_at: '2026-01-01T02:00:00Z',
        ended_by: expect.any(String),
      },
    ])
    expect(await rowsOf('app')).toHaveLength(1)
  })

  it('is there after the tag and its image are gone', async () => {
    await push(first)
    await push(second)
    await remove()
    expect(await rowsOf('app')).toMatchObject([{ digest: digestOf(second), ended: 'deleted' }])
    expect(await rowsOf('app', true)).toMatchObject([
      { digest: digestOf(second), ended: 'deleted' },
      { digest: digestOf(first), ended: 'moved', superseded: true },
    ])
    await push(second, { name: 'app', tag: 'v2' })
    expect(await rowsOf('app')).toMatchObject([{ tag: 'v2' }])
    expect(await rowsOf('app:v1')).toMatchObject([{ tag: 'v1', ended: 'deleted' }])
    await expect(rowsOf('app:v3')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('continues where a deleted tag is pushed again', async () => {
    await push(first)
    await remove()
    await push(second)
    await push(first)
    expect(await rowsOf('app:v1', true)).toMatchObject([
      { digest: digestOf(first), pushed_at: '2026-01-01T04:00:00Z' },
      { digest: digestOf(second), ended: 'moved' },
      { digest: digestOf(first), ended: 'deleted', superseded: true },
    ])
    expect(await rowsOf('app:v1')).toHaveLength(1)
  })

  it('has what a program without history wrote, once s3lo has moved the tag', async () => {
    await putImage(store.backend, V1, first)
    await push(second)
    expect(await rowsOf('app:v1', true)).toMatchObject([
      { digest: digestOf(second) },
      { digest: digestOf(first), pushed_at: '2026-01-01T00:00:00Z', ended: 'moved' },
    ])
  })
})
