import { beforeEach, describe, expect, it } from 'vitest'
import type { ImageSource } from '../../src/contract/image-source.ts'
import type { StreamingTarget } from '../../src/contract/image-target.ts'
import { S3loError } from '../../src/errors.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FixtureSource,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const amd64 = imageFixture({ layers: ['base', 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 })
const reference = { name: 'app', tag: 'v1' }
const platforms = ['linux/arm64']

let target: ImageStore
beforeEach(() => {
  target = new ImageStore(new MemoryBackend())
})

/** A registry that answers the question for what refers to the whole image with an error. */
function registryThatFails(error: S3loError): ImageSource {
  const images = new FixtureSource({ 'app:v1': both })
  return {
    kind: 'random-access',
    name: 'a registry',
    resolve: async () => both.root.descriptor,
    fetch: (descriptor, options) => images.fetch(descriptor, options),
    referrers: async function* (_repository, subject) {
      if (subject.digest === both.root.descriptor.digest) throw error
      yield* []
    },
  }
}

const down = new S3loError('UNAVAILABLE', 'the registry answered 503')

describe('a look at what stays behind that fails', () => {
  it('fails the copy before anything of it is moved or published', async () => {
    const from = { source: registryThatFails(down), reference }
    await expect(copy(from, { target, reference }, { platforms })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('--referrers none'),
    })
    expect(await Array.fromAsync(target.backend.list(''))).toEqual([])
  })

  it('fails a copy into an engine before the engine is given anything', async () => {
    let given = 0
    const engine: StreamingTarget = {
      kind: 'streaming',
      name: 'an engine',
      acceptsIndex: () => Promise.resolve(false),
      receive: async () => {
        given += 1
      },
    }
    const from = { source: registryThatFails(down), reference }
    await expect(copy(from, { target: engine, reference }, { platforms })).rejects.toBeDefined()
    expect(given).toBe(0)
  })

  it('is a notice where the registry only refuses it', async () => {
    const codes: string[] = []
    const source = registryThatFails(new S3loError('FORBIDDEN', 'not for you'))
    const result = await copy(
      { source, reference },
      { target, reference },
      {
        platforms,
        onProgress: (event) => {
          if (event.type === 'notice') codes.push(event.code)
        },
      },
    )
    expect(result.referrers_dropped).toEqual([])
    expect(codes).toEqual(['referrers-refused'])
    expect((await target.resolve(reference)).digest).toBe(arm64.root.descriptor.digest)
  })

  it('for signature records fails the copy before it is published', async () => {
    const backend = new MemoryBackend()
    await putImage(backend, reference, amd64)
    const failing = new Proxy(backend, {
      get(object, key) {
        if (key === 'list') {
          return (prefix: string, ...rest: []) => {
            if (prefix.includes('signatures')) throw down
            return object.list(prefix, ...rest)
          }
        }
        const value: unknown = Reflect.get(object, key, object)
        return typeof value === 'function' ? value.bind(object) : value
      },
    })
    const source = new ImageStore(failing)
    const to = { target, reference: { name: 'other', tag: 'v1' } }
    await expect(copy({ source, reference }, to)).rejects.toBe(down)
    expect(await Array.fromAsync(target.backend.list(''))).toEqual([])
  })
})
