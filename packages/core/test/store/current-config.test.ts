import { beforeEach, describe, expect, it } from 'vitest'
import { ImageStore } from '../../src/store/image-store.ts'
import { FaultyBackend, MemoryBackend } from '../../src/testing/index.ts'

const KEY = 's3lo.yaml'

let bucket: MemoryBackend
let backend: FaultyBackend
let store: ImageStore
let now: number

beforeEach(() => {
  now = 0
  bucket = new MemoryBackend()
  backend = new FaultyBackend(bucket)
  store = new ImageStore(backend, { clock: () => now })
})

async function write(text: string): Promise<void> {
  await bucket.put(KEY, Buffer.from(text))
}

async function isImmutable(): Promise<boolean | undefined> {
  return (await store.config()).default.immutable
}

function methods(): readonly string[] {
  return backend.calls.splice(0).map(({ method }) => method)
}

describe('the configuration of a store that stays open', () => {
  it('is read once in five seconds, and only looked at while the object is the same', async () => {
    await write('default: { immutable: true }')
    expect(await isImmutable()).toBe(true)
    now = 4999
    expect(await isImmutable()).toBe(true)
    expect(methods()).toEqual(['get'])
    now = 5000
    expect(await isImmutable()).toBe(true)
    now = 9999
    expect(await isImmutable()).toBe(true)
    expect(methods()).toEqual(['head'])
  })

  it('is read again once another has changed, written or removed it', async () => {
    expect(await isImmutable()).toBeUndefined()
    for (const [text, expected] of [
      ['default: { immutable: true }', true],
      ['default: { immutable: false }', false],
    ] as const) {
      await write(text)
      now += 5000
      expect(await isImmutable()).toBe(expected)
    }
    await bucket.delete([KEY])
    now += 5000
    expect(await isImmutable()).toBeUndefined()
    now += 5000
    methods()
    expect(await isImmutable()).toBeUndefined()
    expect(methods()).toEqual(['head'])
  })

  it.each(['get', 'head'])('is not remembered where %s failed', async (failing) => {
    await write('default: { immutable: true }')
    if (failing === 'head') expect(await isImmutable()).toBe(true)
    now = 5000
    backend.faults = {
      before: ({ method }) => {
        if (method === failing) throw new Error('no answer')
      },
    }
    await expect(store.config()).rejects.toThrow('no answer')
    backend.faults = {}
    expect(await isImmutable()).toBe(true)
  })

  it('is a failure while the file is not valid, and right again once it is', async () => {
    await write('default: { immutable: true }')
    expect(await isImmutable()).toBe(true)
    await write('default: [')
    now = 5000
    for (let i = 0; i < 2; i++) {
      await expect(store.config()).rejects.toMatchObject({ code: 'INTEGRITY' })
    }
    await write('default: { immutable: false }')
    expect(await isImmutable()).toBe(false)
  })

  it('is read once for all that ask at once, of whom one may be aborted', async () => {
    await write('default: { immutable: true }')
    const controller = new AbortController()
    const first = store.config({ signal: controller.signal })
    const others = Promise.all([store.config(), store.config()])
    controller.abort(new Error('enough'))
    await expect(first).rejects.toThrow('enough')
    expect((await others).map((config) => config.default.immutable)).toEqual([true, true])
    expect(methods()).toEqual(['get'])
    await expect(store.config({ signal: controller.signal })).rejects.toThrow('enough')
  })
})
