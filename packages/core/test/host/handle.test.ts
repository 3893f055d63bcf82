import { beforeEach, describe, expect, it } from 'vitest'
import { createHost, definePlugin, type StoreHandle } from '../../src/index.ts'
import { MemoryBackend } from '../../src/testing/index.ts'
import { HandleWorld } from '../support/handle-world.ts'

let world: HandleWorld
beforeEach(() => {
  world = new HandleWorld()
})

describe('a handle of a store', () => {
  let handle: StoreHandle
  beforeEach(async () => {
    handle = await world.host().open('memory://b/')
  })

  it('opens its store once, for every operation on it', async () => {
    expect(handle.store).toBe('memory://b/')
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await handle.copy('memory://b/app:v1', 'memory://b/app:v2')
    expect(await handle.list(handle.store)).toEqual([{ name: 'app', tags: ['v1', 'v2'] }])
    expect(await handle.tags(`${handle.store}app`)).toEqual(['v1', 'v2'])
    expect(await handle.tags(`${handle.store}app`, { after: 'v1', limit: 1 })).toEqual(['v2'])
    expect((await handle.inspect('memory://b/app:v2')).layers).toHaveLength(2)
    expect((await handle.history('memory://b/app')).rows).toHaveLength(2)
    await handle.setConfig('memory://b/app', ['immutable=true'])
    expect(await handle.getConfig('memory://b/app')).toMatchObject({
      settings: { immutable: true },
    })
    expect(await handle.clean('memory://b/')).toMatchObject({ deleted: 0 })
    await handle.sign('memory://b/app:v1', { key: 'mine' })
    expect(world.signed.at(-1)).toBe('app mine')
    expect(await handle.verify('memory://b/app:v1', { key: 'mine' })).toMatchObject({
      verified: true,
    })
    expect([world.opened, world.closed]).toEqual([['b'], []])
    await handle.close()
    await handle.close()
    expect(world.closed).toEqual(['b'])
  })

  it('opens and closes other stores as the host does', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await handle.copy('memory://b/app:v1', 'memory://c/app:v1')
    expect([world.opened, world.closed]).toEqual([['b', 'c'], ['c']])
  })

  it('sees settings that were changed by others', async () => {
    await handle.push('fix:app:v1', 'memory://b/app:v1')
    await world.host().setConfig('memory://b/app', ['immutable=true'])
    await expect(handle.delete('memory://b/app:v1')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('does not keep a failure', async () => {
    const bucket = world.buckets.get('b')!
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
      await using scoped = await world.host().open('memory://scoped/')
      expect(await scoped.list(scoped.store)).toEqual([])
    }
    expect(world.closed).toEqual(['scoped'])
  })
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
