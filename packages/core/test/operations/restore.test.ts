import { beforeEach, describe, expect, it } from 'vitest'
import { collectGarbage } from '../../src/gc/collector.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { copy } from '../../src/operations/copy.ts'
import { deleteTag } from '../../src/operations/delete-tag.ts'
import { listUntagged } from '../../src/operations/list-untagged.ts'
import { readTagEvents } from '../../src/operations/tag-memory.ts'
import { restorable, restore, type RestoreOptions } from '../../src/operations/restore.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  dieAt,
  FaultyBackend,
  FixtureSource,
  imageFixture,
  type ImageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const V1 = { name: 'app', tag: 'v1' }
const PLACE = { scheme: 'memory', bucket: 'memory', image: 'app', ...V1 }
const [first, second, third] = ['one', 'two', 'three'].map((layer) =>
  imageFixture({ layers: [layer] }),
) as [ImageFixture, ImageFixture, ImageFixture]
const index = indexFixture({ 'linux/amd64': first, 'linux/arm64': second })
const HOUR = 3_600_000
const PLACE_OF_EVENTS = { repository: 'app', tag: 'v1' }

let time: number
let inner: MemoryBackend
let backend: FaultyBackend
let store: ImageStore

beforeEach(() => {
  time = Date.UTC(2026, 0, 1)
  inner = new MemoryBackend({ now: () => new Date(time) })
  backend = new FaultyBackend(inner)
  store = new ImageStore(backend)
})

function digestOf({ root }: ImageFixture): string {
  return root.descriptor.digest
}

/** Each an hour after the one before. */
async function push(image: ImageFixture, to = V1): Promise<void> {
  time += HOUR
  const source = new FixtureSource({ 'app:v1': image })
  await copy({ source, reference: V1 }, { target: new ImageStore(inner), reference: to })
}

async function remove(options = {}): Promise<void> {
  time += HOUR
  await deleteTag(new ImageStore(inner), PLACE, options)
}

function bringBack(options?: RestoreOptions): ReturnType<typeof restore> {
  return restore(store, PLACE, options)
}

async function sweep(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await collectGarbage(inner, { confirm: true, graceMs: 0 })
    time += 2 * HOUR
  }
}

/** The image of the tag, verified as a whole. */
async function pull(image: ImageFixture): Promise<void> {
  const source = new ImageStore(inner)
  const target = new ImageStore(new MemoryBackend())
  await copy({ source, reference: V1 }, { target, reference: V1 })
  expect((await target.resolve(V1)).digest).toBe(digestOf(image))
}

describe('restore', () => {
  it('brings back a deleted tag, byte for byte, after collections', async () => {
    await push(index)
    const before = await Array.fromAsync((await inner.get(manifestKey(V1))).body)
    await remove()
    await push(third, { name: 'other', tag: 'v1' })
    await sweep()
    expect(await bringBack()).toEqual({ ref: 'memory://memory/app:v1', digest: digestOf(index) })
    expect(await Array.fromAsync((await inner.get(manifestKey(V1))).body)).toEqual(before)
    await pull(index)
  })

  it('moves no layer', async () => {
    await push(index)
    await remove()
    await bringBack()
    const puts = backend.calls.filter(({ method }) => method === 'put' || method === 'copyFrom')
    expect(puts.filter(({ key }) => key.startsWith('blobs/'))).toEqual([])
  })

  it('asks what to restore of a tag that is there', async () => {
    await push(first)
    await push(second)
    await expect(bringBack()).rejects.toMatchObject({ code: 'CONFLICT' })
    const both = bringBack({ at: new Date(time), digest: digestOf(first) })
    await expect(both).rejects.toMatchObject({ code: 'USAGE' })
    expect((await store.resolve(V1)).digest).toBe(digestOf(second))
  })

  it('takes a digest, which may be shortened, and what it replaces can be restored again', async () => {
    await push(first)
    await push(second)
    const short = digestOf(first).slice(0, 15)
    expect(await bringBack({ digest: short })).toMatchObject({
      digest: digestOf(first),
      replaced: digestOf(second),
    })
    await pull(first)
    await bringBack({ digest: digestOf(second) })
    await pull(second)
  })

  it('takes what the tag named at a moment', async () => {
    await push(first)
    await push(second)
    await remove()
    await push(third)
    const hour = (n: number): Date => new Date(Date.UTC(2026, 0, 1) + n * HOUR + 60_000)
    for (const [n, image] of [
      [1, first],
      [2, second],
    ] as const) {
      time += HOUR
      await bringBack({ at: hour(n) })
      await pull(image)
    }
    time += HOUR
    await expect(bringBack({ at: hour(0) })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(bringBack({ at: hour(3) })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await bringBack({ at: hour(4) })
    await pull(third)
  })

  it('has nothing of a tag that was never there, or was purged', async () => {
    await expect(bringBack()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await push(first)
    await remove({ purge: true })
    await expect(bringBack()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const byDigest = bringBack({ digest: digestOf(first) })
    await expect(byDigest).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('overwrites a tag of an immutable image only when forced', async () => {
    await push(first)
    await push(second)
    await inner.put('s3lo.yaml', Buffer.from('default: {immutable: true}'))
    const digest = digestOf(first)
    await expect(bringBack({ digest })).rejects.toMatchObject({ code: 'CONFLICT' })
    await pull(second)
    await bringBack({ digest, force: true })
    await pull(first)
  })

  it('brings back a deleted tag of an immutable image', async () => {
    await inner.put('s3lo.yaml', Buffer.from('default: {immutable: true}'))
    await push(first)
    await remove({ force: true })
    await bringBack()
    await pull(first)
    const events = await readTagEvents(store, PLACE_OF_EVENTS)
    expect(events.at(-1)).toMatchObject({ became: digestOf(first) })
  })

  it('brings back the last of several that a tag named within one tick of the clock', async () => {
    for (const order of [
      [first, second, third],
      [third, first, second],
      [second, third, first],
    ]) {
      inner = new MemoryBackend({ now: () => new Date(Date.UTC(2026, 0, 1)) })
      store = new ImageStore(inner)
      for (const image of order) await push(image)
      await remove()
      expect(await bringBack()).toMatchObject({ digest: digestOf(order[2]!) })
      const events = await readTagEvents(store, PLACE_OF_EVENTS)
      const reasons = events.map(({ reason }) => reason)
      expect(reasons).toEqual(['moved', 'moved', 'deleted', 'restored'])
    }
  })

  it('publishes nothing of an image whose layers another program has deleted', async () => {
    await push(first)
    await remove()
    const [layer] = [...first.content.keys()]
    await inner.delete([blobKey(layer!)])
    await expect(bringBack()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await store.find(V1)).toBeUndefined()
  })

  it('is whole or not there, wherever a purge comes between', async () => {
    let isEnded = false
    for (let count = 1; !isEnded; count++) {
      inner = new MemoryBackend({ now: () => new Date(time) })
      await push(third, { name: 'other', tag: 'v1' })
      await push(first)
      await remove()
      backend = new FaultyBackend(inner, {
        before: async (call) => {
          if (call.count !== count) return
          const place = { ...PLACE, digest: digestOf(first) }
          await deleteTag(new ImageStore(inner), place, { maxWaitMs: 0 }).catch(() => {})
          await collectGarbage(inner, { confirm: true, graceMs: 0 })
        },
      })
      store = new ImageStore(backend)
      const restored = await bringBack().catch((error: unknown) => {
        expect(error).toMatchObject({ code: expect.stringMatching(/NOT_FOUND|UNAVAILABLE/) })
      })
      isEnded = backend.calls.length < count
      await collectGarbage(inner, { confirm: true, graceMs: 0 })
      if (restored && (await new ImageStore(inner).find(V1))) await pull(first)
      expect(count).toBeLessThan(60)
    }
  })

  it('leaves the tag as it was or as it shall be, wherever it dies, and loses nothing', async () => {
    for (let count = 1, end = 'died'; end === 'died'; count++) {
      inner = new MemoryBackend({ now: () => new Date(time) })
      await push(first)
      await push(second)
      backend = new FaultyBackend(inner)
      store = new ImageStore(backend)
      const { faults, died } = dieAt(count)
      backend.faults = faults
      const work = bringBack({ digest: digestOf(first) }).then(() => 'done')
      end = await Promise.race([work, died.then(() => 'died')])
      await collectGarbage(inner, { confirm: true, graceMs: 0 })
      const { digest } = await new ImageStore(inner).resolve(V1)
      await pull(digest === digestOf(first) ? first : second)
      for (const image of [first, second]) {
        await restore(new ImageStore(inner), PLACE, { digest: digestOf(image) })
        await pull(image)
      }
      expect(count).toBeLessThan(60)
    }
  })
})

describe('the untagged images of a store', () => {
  it('are those that no tag and no index reaches, the last first', async () => {
    await push(index)
    await push(third)
    await push(third, { name: 'team/app', tag: 'v1' })
    expect(await listUntagged(store)).toEqual([
      {
        name: 'app',
        digest: digestOf(index),
        untagged_since: '2026-01-01T02:00:00Z',
        kept_until: '2026-01-15T02:00:00Z',
      },
    ])
    await push(first)
    const rows = await listUntagged(store, 'app/')
    expect(rows.map(({ digest }) => digest)).toEqual([digestOf(third), digestOf(index)])
    expect(await listUntagged(store, 'team/')).toEqual([])
    await bringBack({ digest: digestOf(index) })
    expect(await listUntagged(store)).toMatchObject([{ digest: digestOf(third) }])
  })
})

describe('what can be restored', () => {
  it('is what tags named and do not name now, the last first', async () => {
    await push(first)
    await push(second)
    await push(third)
    await push(first)
    await push(first, { name: 'team/app', tag: 'v2' })
    await push(second, { name: 'team/app', tag: 'v2' })
    const rows = await restorable(store, '')
    expect(rows.map(({ image, tag, digest }) => [image, tag, digest])).toEqual([
      ['app', 'v1', digestOf(third)],
      ['app', 'v1', digestOf(second)],
      ['team/app', 'v2', digestOf(first)],
    ])
    expect(await restorable(store, 'team/app')).toEqual(rows.slice(2))
    expect(await restorable(store, 'app:v1')).toEqual(rows.slice(0, 2))
    expect(await restorable(store, 'app:v2')).toEqual([])
    expect(rows[0]).toMatchObject({
      reason: 'moved',
      by: expect.any(String),
      size_bytes: expect.any(Number),
      kept_until: '2026-01-15T04:00:00Z',
    })
  })

  it('is nothing of a tag that a program without records has overwritten', async () => {
    await putImage(inner, V1, first)
    await putImage(inner, V1, second)
    expect(await restorable(store, '')).toEqual([])
  })

  it('takes the settings of each image', async () => {
    await inner.put('s3lo.yaml', Buffer.from('default: {lifecycle: {keep_untagged: forever}}'))
    await push(first)
    await remove()
    expect(await restorable(store, 'app')).toMatchObject([
      { reason: 'deleted', kept_until: 'forever' },
    ])
  })

  it('stays for a day at least, as the delete says', async () => {
    await inner.put('s3lo.yaml', Buffer.from('default: {lifecycle: {keep_untagged: 0}}'))
    time = Date.now() - HOUR
    await push(first)
    const { kept_until: until = '' } = await deleteTag(new ImageStore(inner), PLACE)
    const [row] = await restorable(store, 'app')
    const [told = 0, kept = 0] = [until, row?.kept_until ?? ''].map(Date.parse)
    expect(kept - time).toBeGreaterThan(24 * HOUR)
    expect(Math.abs(told - kept)).toBeLessThan(60_000)
  })

  it('leaves out an event that cannot be read', async () => {
    await push(first)
    await remove()
    const [key] = (await Array.fromAsync(inner.list('.s3lo/repositories/app/_history/'))).map(
      (info) => info.key,
    )
    for (const text of ['{ torn', '{"v":2}', '{"v":1,"reason":"why"}', '[]']) {
      await inner.put(key!, Buffer.from(text))
      expect(await restorable(store, '')).toEqual([])
    }
  })
})
