import { describe, expect, it } from 'vitest'
import { FaultyBackend } from '../../src/testing/index.ts'
import { S3loError } from '../../src/errors.ts'
import { writeControl } from '../../src/gc/control-object.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'
import { layered, publishImage, pushImage, SECOND, TimedStore } from './world.ts'

const image = layered('one', 'two')
const descriptors = successors(parseManifest(image.root.content, 'image'))
const [first] = descriptors
const app = manifestKey({ name: 'app', tag: 'latest' })

describe('a protected push', () => {
  it('takes three requests more than one that is not, for any image', async () => {
    const counts: number[] = []
    for (const layers of [['a'], Array.from({ length: 60 }, (_, i) => `layer ${i}`)]) {
      const store = new TimedStore()
      const faulty = new FaultyBackend(store.backend)
      const pushed = layered(...layers)
      await pushImage(faulty, store.protection(faulty), pushed, 'app')
      const size = successors(parseManifest(pushed.root.content, 'image')).length
      counts.push(faulty.calls.length - size * 2 - 1)
    }
    expect(counts).toEqual([3, 3])
  })

  it('leaves nothing of its own behind', async () => {
    const store = new TimedStore()
    await pushImage(store.backend, store.protection(), image, 'app')
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('pins what is not pinned before it looks for it', async () => {
    const store = new TimedStore()
    const protection = store.protection()
    await protection.has(first!)
    expect(await store.keys('.s3lo/gc/pins/')).toHaveLength(1)
    await protection.release()
  })

  it('waits for a round that names one of its blobs, and for no other', async () => {
    const store = new TimedStore()
    const options = { ttlSeconds: 600 }
    const content = { names: [nameOf(first!.digest)], who: 'gc' }
    const round = await writeControl(store.backend, 'round', content, options)
    const push = pushImage(store.backend, store.protection(), image, 'app')
    await store.untilAsleep(2 * SECOND)
    expect(await store.backend.head(app)).toBeUndefined()
    await store.backend.delete([round.key])
    store.advance(2 * SECOND)
    await push
    expect(await store.broken()).toEqual([])
  })

  it('waits for a round that cannot be read until it is dead, by the clock of the store', async () => {
    const store = new TimedStore()
    const key = '.s3lo/gc/rounds/000600-00112233445566778899aabbccddeeff.json'
    await store.backend.put(key, Buffer.from('{"v":2}'))
    const push = pushImage(store.backend, store.protection(), image, 'app')
    await store.untilAsleep(2 * SECOND)
    store.pause(890 * SECOND)
    store.advance(2 * SECOND)
    await store.untilAsleep(2 * SECOND)
    expect(await store.backend.head(app)).toBeUndefined()
    store.pause(10 * SECOND)
    store.advance(2 * SECOND)
    await push
    expect(await store.backend.head(app)).toBeDefined()
  })

  it('looks again for everything when the store refuses it as too late', async () => {
    const store = new TimedStore()
    const protection = store.protection()
    await store.plant(image)
    for (const descriptor of descriptors) await protection.has(descriptor)
    store.pause(601 * SECOND)
    await publishImage(protection, image, 'app')
    await protection.release()
    expect(await store.broken()).toEqual([])
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('publishes nothing when a blob was collected while it was paused', async () => {
    const store = new TimedStore()
    const protection = store.protection()
    await store.plant(image)
    for (const descriptor of descriptors) await protection.has(descriptor)
    store.pause(3600 * SECOND)
    await store.backend.delete([blobKey(first!.digest)])
    await expect(publishImage(protection, image, 'app')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    await protection.release()
    expect(await store.backend.head(app)).toBeUndefined()
  })

  it('renews its pins while it uploads, so that nothing has to be looked for again', async () => {
    const store = new TimedStore()
    const faulty = new FaultyBackend(store.backend)
    const protection = store.protection(faulty)
    await store.plant(image)
    for (const descriptor of descriptors) await protection.has(descriptor)
    for (let i = 0; i < 10; i++) {
      store.advance(201 * SECOND)
      await store.untilAsleep(200 * SECOND)
    }
    const before = faulty.calls.filter(({ method }) => method === 'head').length
    await publishImage(protection, image, 'app')
    await protection.release()
    expect(faulty.calls.filter(({ method }) => method === 'head').length).toBe(before)
    expect(await store.keys('.s3lo/')).toEqual([])
  })

  it('leaves its pins when it is unknown whether the publication landed', async () => {
    const store = new TimedStore()
    const faulty = new FaultyBackend(store.backend, {
      after: ({ method, key }) => {
        if (method === 'put' && key === app) throw new S3loError('UNAVAILABLE', 'no answer')
      },
    })
    // The tag is there, so the push has succeeded; the request may still land once more.
    await pushImage(faulty, store.protection(faulty), image, 'app')
    expect(await store.keys('.s3lo/gc/pins/')).toHaveLength(1)
  })

  it('fails with the first failure when the publication did not land', async () => {
    const store = new TimedStore()
    const faulty = new FaultyBackend(store.backend, {
      before: ({ method, key }) => {
        if (method === 'put' && key === app) throw new S3loError('UNAVAILABLE', 'no answer')
      },
    })
    const push = pushImage(faulty, store.protection(faulty), image, 'app')
    await expect(push).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.keys('.s3lo/gc/pins/')).toHaveLength(1)
  })

  it.each(['CONFLICT', 'FORBIDDEN', 'UNAUTHORIZED'] as const)(
    'removes its pins when the publication is refused with %s',
    async (code) => {
      const store = new TimedStore()
      const faulty = new FaultyBackend(store.backend, {
        before: ({ method, key }) => {
          if (method === 'put' && key === app) throw new S3loError(code, 'no')
        },
      })
      const push = pushImage(faulty, store.protection(faulty), image, 'app')
      await expect(push).rejects.toMatchObject({ code })
      expect(await store.keys('.s3lo/gc/')).toEqual([])
    },
  )

  it('reads the origin of a tag again after its pins, and again under new pins', async () => {
    const store = new TimedStore()
    await store.plant(image, 'app')
    let confirmed = 0
    const faulty = new FaultyBackend(store.backend, {
      after: async ({ method, key }) => {
        if (method !== 'get' || key !== app) return
        confirmed++
        expect(await store.keys('.s3lo/gc/pins/')).not.toEqual([])
        if (confirmed === 1) store.pause(700 * SECOND)
      },
    })
    const protection = store.protection(faulty)
    await protection.publish({
      key: manifestKey({ name: 'app', tag: 'stable' }),
      content: image.root.content,
      digests: descriptors.map(({ digest }) => digest),
      origin: { key: app, content: image.root.content, name: 'app:latest' },
    })
    await protection.release()
    expect(confirmed).toBe(2)
  })

  it('writes pins that never expire where the store enforces no deadlines', async () => {
    const store = new TimedStore({ deadlines: false })
    const protection = store.protection()
    await protection.protect([first!.digest])
    expect((await store.keys('.s3lo/gc/pins/'))[0]).toContain('/pins/000000-')
    await protection.release()
    await pushImage(store.backend, store.protection(), image, 'app')
    expect(await store.broken()).toEqual([])
  })

  it('takes a round for ended on the word of an operator', async () => {
    const store = new TimedStore({ deadlines: false })
    const content = { names: [''], who: 'gc' }
    const round = await writeControl(store.backend, 'round', content, { ttlSeconds: undefined })
    const protection = store.protection(store.backend, { ended: new Set([round.id]) })
    await pushImage(store.backend, protection, image, 'app')
    expect(await store.backend.head(app)).toBeDefined()
  })
})
