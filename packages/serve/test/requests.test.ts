import { FaultyBackend, MemoryBackend } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { image, push } from './support/push-image.ts'
import { type ServedStore, serveBackend } from './support/served-store.ts'

/** Requests to the store that a request costs. */
async function costOf(
  faulty: FaultyBackend,
  served: ServedStore,
  path: string,
): Promise<readonly string[]> {
  const before = faulty.calls.length
  expect((await served.ask(path)).status).toBe(200)
  return faulty.calls.slice(before).map(({ method }) => method)
}

describe('a request', () => {
  it('for a manifest costs one of the store, whether it is in memory or not', async () => {
    const faulty = new FaultyBackend(new MemoryBackend())
    {
      await using other = await serveBackend(faulty)
      expect(await push(other, image)).toBe(201)
    }
    await using served = await serveBackend(faulty)
    const paths = ['v1', image.root.descriptor.digest].map((name) => `/v2/app/manifests/${name}`)
    for (const path of paths) expect(await costOf(faulty, served, path)).toEqual(['get'])
    for (const path of paths) expect(await costOf(faulty, served, path)).toEqual(['head'])
  })

  it('for a blob costs three at first, and three once it is known who has it', async () => {
    const faulty = new FaultyBackend(new MemoryBackend())
    await using served = await serveBackend(faulty)
    await push(served, image)
    const path = `/v2/app/blobs/${[...image.content.keys()][0]}`
    expect((await costOf(faulty, served, path)).length).toBeLessThanOrEqual(3)
    expect((await costOf(faulty, served, path)).length).toBeLessThanOrEqual(3)
  })

  it.each(['manifests/v1', 'manifests/DIGEST', 'blobs/LAYER'])(
    'of 32 clients at once for %s costs the store what two in turn do',
    async (what) => {
      const faulty = new FaultyBackend(new MemoryBackend())
      {
        await using other = await serveBackend(faulty)
        expect(await push(other, image)).toBe(201)
      }
      const arrived = Promise.withResolvers<void>()
      let asking = 0
      const guard = (): undefined => {
        asking += 1
        if (asking === 32) arrived.resolve()
      }
      const [layer = ''] = image.content.keys()
      const { digest } = image.root.descriptor
      const path = `/v2/app/${what.replace('DIGEST', digest).replace('LAYER', layer)}`
      let inTurn: number
      {
        await using served = await serveBackend(faulty)
        const before = faulty.calls.length
        for (let asked = 0; asked < 2; asked++) await served.ask(path, { method: 'HEAD' })
        inTurn = faulty.calls.length - before
      }
      await using served = await serveBackend(faulty, { guards: [guard] })
      const before = faulty.calls.length
      faulty.faults = { before: () => arrived.promise }
      const all = Array.from({ length: 32 }, () => served.ask(path))
      const statuses = (await Promise.all(all)).map(({ status }) => status)
      expect(new Set(statuses)).toEqual(new Set([200]))
      const looks = faulty.calls
        .slice(before)
        .filter(({ key, method }) => method !== 'get' || !key.startsWith('blobs/'))
      expect(looks.length).toBeLessThanOrEqual(inTurn)
    },
  )
})
