import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeEach, describe, expect, it } from 'vitest'
import { createHost, definePlugin, type StoreHandle } from '../../src/index.ts'
import { FixtureSource, imageFixture, MemoryBackend } from '../../src/testing/index.ts'

const app = imageFixture({ layers: ['base', 'app'] })

let opened: string[]
let closed: string[]
let buckets: Map<string, MemoryBackend>
const signed: string[] = []

/** A host of memory stores that records which are opened and closed. */
function makeHost() {
  const of = <T>(module: T) => ({ summary: 'test', load: () => Promise.resolve(module) })
  const openBackend = ({ bucket }: { readonly bucket: string }) => {
    opened.push(bucket)
    const backend = buckets.get(bucket) ?? new MemoryBackend({ bucket })
    buckets.set(bucket, backend)
    const close = (): Promise<void> => Promise.resolve(void closed.push(bucket))
    return Promise.resolve(Object.assign(backend, { close }))
  }
  const openSource = (text: string) => {
    const [name = '', tag = ''] = text.split(':')
    const source = new FixtureSource({ 'app:v1': app })
    return Promise.resolve({ source, reference: { name, tag } })
  }
  const result = { ref: 'r', digest: 'd', keyID: 'i', keyRef: 'k' }
  const signer = {
    sign: ({ reference }: { reference: { name: string } }, { key }: { key: string }) => {
      signed.push(`${reference.name} ${key}`)
      const rest = { signedAt: 't', storedPath: 'p', schemaVersion: 2, algorithm: 'a' } as const
      return Promise.resolve({ ...result, ...rest })
    },
    verify: () => Promise.resolve({ ...result, verified: true }),
  }
  return createHost({
    plugins: [
      definePlugin({
        name: 'test',
        apiVersion: 1,
        backends: { memory: of({ openBackend }) },
        sources: { fix: of({ openSource }) },
        signers: { key: of(signer) },
      }),
    ],
  })
}

beforeEach(() => {
  opened = []
  closed = []
  buckets = new Map()
})

describe('a handle of a store', () => {
  let handle: StoreHandle
  beforeEach(async () => {
    handle = await makeHost().open('memory://b/')
  })

  it('opens its store once, for every operation on it', async () => {
    expect(handle.store).toBe('memory://b/')
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await handle.copy('memory://b/app:v1', 'memory://b/app:v2')
    expect(await handle.list(handle.store)).toEqual([{ name: 'app', tags: ['v1', 'v2'] }])
    expect((await handle.inspect('memory://b/app:v2')).layers).toHaveLength(2)
    expect((await handle.history('memory://b/app')).rows).toHaveLength(2)
    await handle.setConfig('memory://b/app', ['immutable=true'])
    expect(await handle.getConfig('memory://b/app')).toMatchObject({
      settings: { immutable: true },
    })
    expect(await handle.clean('memory://b/')).toMatchObject({ deleted: 0 })
    await handle.sign('memory://b/app:v1', { key: 'mine' })
    expect(signed.at(-1)).toBe('app mine')
    expect(await handle.verify('memory://b/app:v1', { key: 'mine' })).toMatchObject({
      verified: true,
    })
    expect([opened, closed]).toEqual([['b'], []])
    await handle.close()
    await handle.close()
    expect(closed).toEqual(['b'])
  })

  it('opens and closes other stores as the host does', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await handle.copy('memory://b/app:v1', 'memory://c/app:v1')
    expect([opened, closed]).toEqual([['b', 'c'], ['c']])
  })

  it('sees settings that were changed by others', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await makeHost().setConfig('memory://b/app', ['immutable=true'])
    await expect(handle.delete('memory://b/app:v1')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('does not keep a failure', async () => {
    const bucket = buckets.get('b')!
    const get = bucket.get.bind(bucket)
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    bucket.get = () => Promise.reject(new Error('out of order'))
    await expect(handle.inspect('memory://b/app:v1')).rejects.toThrow('out of order')
    bucket.get = get
    expect((await handle.inspect('memory://b/app:v1')).layers).toHaveLength(2)
  })

  it('stops one operation by its own signal, and not the others', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    const { signal } = controller
    await expect(handle.inspect('memory://b/app:v1', { signal })).rejects.toThrow('enough')
    expect((await handle.inspect('memory://b/app:v1')).layers).toHaveLength(2)
  })

  it('is of no use once it is closed, but other stores are', async () => {
    await handle.close()
    await expect(handle.list('memory://b/')).rejects.toMatchObject({
      code: 'USAGE',
      message: 'memory://b/ is closed',
    })
    expect(await handle.list('memory://c/')).toEqual([])
  })

  it('is closed at the end of its scope', async () => {
    {
      await using scoped = await makeHost().open('memory://scoped/')
      expect(await scoped.list(scoped.store)).toEqual([])
    }
    expect(closed).toEqual(['scoped'])
  })

  it('keeps nothing of 10,000 operations', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    const gc = collector()
    const work = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) {
        if (i % 2 === 0) await handle.inspect('memory://b/app:v1')
        else await handle.list('memory://b/')
      }
      gc()
      return process.memoryUsage().heapUsed
    }
    const before = await work(3000)
    const after = await work(10_000)
    // Less than 100 bytes for each: no operation leaves an object behind.
    expect(after - before).toBeLessThan(1_000_000)
    expect([opened, closed]).toEqual([['b'], []])
  }, 120_000)
})

it('without the plugin that signs, sign and verify say so', async () => {
  const memory = { openBackend: () => Promise.resolve(new MemoryBackend({ bucket: 'b' })) }
  const host = createHost({
    plugins: [
      definePlugin({
        name: 'test',
        apiVersion: 1,
        backends: { memory: { summary: 'memory', load: () => Promise.resolve(memory) } },
      }),
    ],
  })
  for (const verb of ['sign', 'verify'] as const) {
    await expect(host[verb]('memory://b/app:v1', { key: 'k' })).rejects.toMatchObject({
      code: 'PLUGIN_NOT_INSTALLED',
    })
  }
})

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
