import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { markSide } from '../../src/host/failed-side.ts'
import {
  imageFixture,
  indexFixture,
  type MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const amd64 = imageFixture({ layers: ['a'.repeat(1000)], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['b'.repeat(1000)], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 }, {})
/** The layer of the one image. */
const layer = [...amd64.content.keys()].find((digest) => digest !== amd64.root.descriptor.digest)

let world: MemoryWorld
let from: MemoryBackend
let to: MemoryBackend

beforeEach(async () => {
  world = new MemoryWorld()
  from = world.bucket('from')
  // Blobs pass through this process, as between two services.
  to = Object.assign(world.bucket('to'), { copyFrom: undefined })
  await putImage(from, { name: 'app', tag: 'v1' }, amd64)
  await putImage(from, { name: 'multi', tag: 'v1' }, both)
  world.images['app:v1'] = amd64
})

const down = (what: string): S3loError => new S3loError('UNAVAILABLE', what)
const copy = (image = 'app'): Promise<unknown> =>
  world.host.copy(`mem://from/${image}:v1`, `mem://to/${image}:v1`)

describe('the error of a transfer says on which side it failed', () => {
  it('the source, when it does not answer', async () => {
    from.get = () => Promise.reject(down('from'))
    await expect(copy()).rejects.toMatchObject({ details: { side: 'source' } })
  })

  it('the source, when its content breaks off on the way', async () => {
    const get = from.get.bind(from)
    from.get = async (key, options) => {
      const object = await get(key, options)
      if (!key.startsWith('blobs/')) return object
      const body = Readable.from(
        (async function* () {
          yield Buffer.from('a')
          await Promise.resolve()
          throw down('broken')
        })(),
      )
      return { ...object, body }
    }
    await expect(copy()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { side: 'source', digest: expect.stringMatching(/^sha256:/) },
    })
  })

  it('the source, when its content is not what its digest says', async () => {
    await from.put(`blobs/${String(layer).replace(':', '/')}`, Buffer.alloc(1000))
    await expect(copy()).rejects.toMatchObject({ code: 'INTEGRITY', details: { side: 'source' } })
  })

  it('the target, when it takes nothing, also in the middle of content', async () => {
    const put = to.put.bind(to)
    to.put = async (key, body, options) => {
      if (!key.startsWith('blobs/')) return put(key, body, options)
      for await (const _ of body as AsyncIterable<unknown>) throw down('full')
      return put(key, Buffer.from(''), options)
    }
    await expect(copy()).rejects.toMatchObject({ details: { side: 'target' } })
    await expect(world.host.push('fix:app:v1', 'mem://to/app:v1')).rejects.toMatchObject({
      details: { side: 'target' },
    })
  })

  it('the target, when the tag is refused', async () => {
    await copy()
    await world.host.setConfig('mem://to/app', ['immutable=true'])
    to.head = () => Promise.reject(down('to'))
    await expect(copy()).rejects.toMatchObject({ details: { side: 'target' } })
  })

  it('and of which platform it is, where there are several', async () => {
    const put = to.put.bind(to)
    to.put = (key, body, options) =>
      key.startsWith('blobs/') ? Promise.reject(down('full')) : put(key, body, options)
    await expect(copy('multi')).rejects.toMatchObject({
      message: expect.stringMatching(/^linux\/(amd64|arm64): /),
      details: { side: 'target', platform: expect.stringMatching(/^linux\//) },
    })
  })

  it('and of no side where it was stopped', async () => {
    const signal = AbortSignal.abort(new S3loError('ABORTED', 'enough'))
    await expect(
      world.host.copy('mem://from/app:v1', 'mem://to/app:v1', { signal }),
    ).rejects.toMatchObject({ code: 'ABORTED', details: undefined })
  })
})

it('an end that is given to another one is given as itself, not marked', async () => {
  class End {
    #name = 'registry'
    mount(_descriptor: object, source: End): Promise<string> {
      return Promise.resolve(source.#name)
    }
    adopt({ source }: { readonly source: End }): Promise<boolean> {
      return Promise.resolve(source === this)
    }
  }
  const end = new End()
  const target = markSide(end, 'target')
  expect(await target.mount({}, markSide(new End(), 'source'))).toBe('registry')
  expect(await target.adopt({ source: markSide(end, 'source') })).toBe(true)
})
