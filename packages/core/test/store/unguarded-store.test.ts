import { beforeEach, describe, expect, it } from 'vitest'
import { definePlugin } from '../../src/contract/plugin.ts'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import type { BackendGuarantees, StorageBackend } from '../../src/contract/storage-backend.ts'
import { createHost, type Host } from '../../src/host.ts'
import { manifestKey } from '../../src/layout/keys.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  FixtureSource,
  imageFixture,
  MemoryBackend,
  type MemoryBackendOptions,
  putImage,
} from '../../src/testing/index.ts'

const ours = imageFixture({ layers: ['ours'] })
const theirs = imageFixture({ layers: ['theirs'] })
const tag = { name: 'app', tag: 'v1' }
const KEY = manifestKey(tag)
const WEAK = { createOnly: false, compareAndSwap: false, deadlines: false }
const CONFIG = Buffer.from('default:\n  immutable: true\nchunked: false\n')

/** A host whose one store is `backend`, and what its operations say meanwhile. */
class World {
  readonly notices: ProgressEvent[] = []
  readonly #host: Host

  constructor(backend: StorageBackend) {
    const reference = { name: 'image', tag: 'latest' }
    const source = new FixtureSource({ 'image:latest': ours })
    this.#host = createHost({
      plugins: [
        definePlugin({
          name: 'memory',
          apiVersion: 1,
          backends: {
            mem: { summary: 'memory', load: async () => ({ openBackend: async () => backend }) },
          },
          sources: {
            fix: {
              summary: 'fixtures',
              load: async () => ({
                openSource: async () => ({ source, reference }),
                openTarget: async () => ({
                  target: new ImageStore(new MemoryBackend()),
                  reference,
                }),
              }),
            },
          },
        }),
      ],
    })
  }

  push(force = false): Promise<unknown> {
    return this.#host.push('fix:image', 'mem://bucket/app:v1', {
      force,
      onProgress: (event) => {
        if (event.type === 'notice') this.notices.push(event)
      },
    })
  }

  /** Everything that only reads. */
  async read(): Promise<void> {
    await this.#host.list('mem://bucket/')
    await this.#host.inspect('mem://bucket/app:v1')
    await this.#host.pull('mem://bucket/app:v1', 'fix:image', { platform: 'linux/amd64' })
    await this.#host.history('mem://bucket/app')
  }
}

async function digestIn(backend: StorageBackend): Promise<string> {
  return (await new ImageStore(backend).read(tag)).descriptor.digest
}

describe('an immutable tag in a store that heeds no conditions', () => {
  let backend: MemoryBackend
  beforeEach(async () => {
    backend = new MemoryBackend({ guarantees: WEAK })
    await backend.put('s3lo.yaml', CONFIG)
  })

  it('is published with a warning that names it', async () => {
    const world = new World(backend)
    await world.push()
    expect(await digestIn(backend)).toBe(ours.root.descriptor.digest)
    expect(world.notices).toEqual([
      {
        type: 'notice',
        code: 'immutability-not-enforced',
        message: expect.stringMatching(/does not refuse a second write of app:v1.*last one stays/),
      },
    ])
  })

  it('is refused when it exists, unless it is forced, and stays as it is', async () => {
    await putImage(backend, tag, theirs)
    const world = new World(backend)
    await expect(world.push()).rejects.toMatchObject({
      code: 'CONFLICT',
      hint: expect.stringContaining('--force'),
    })
    expect(await digestIn(backend)).toBe(theirs.root.descriptor.digest)
    await world.push(true)
    expect(await digestIn(backend)).toBe(ours.root.descriptor.digest)
  })

  it('is refused when it comes to exist during the push', async () => {
    const racing = new FaultyBackend(backend, {
      after: async ({ method, key }) => {
        if (method === 'put' && key.startsWith('blobs/')) await putImage(backend, tag, theirs)
      },
    })
    await expect(new World(racing).push()).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(racing.calls.some(({ method, key }) => method === 'put' && key === KEY)).toBe(false)
    expect(await digestIn(backend)).toBe(theirs.root.descriptor.digest)
  })

  it('is read back: who was overwritten at the same moment learns it', async () => {
    const racing = new FaultyBackend(backend, {
      after: async ({ method, key }) => {
        if (method === 'put' && key === KEY) await putImage(backend, tag, theirs)
      },
    })
    await expect(new World(racing).push()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('another client published app:v1'),
      hint: 's3lo inspect memory://memory/app:v1 shows what is there',
    })
    expect(await digestIn(backend)).toBe(theirs.root.descriptor.digest)
  })

  it('is left as it is by a second push of the same, without another word', async () => {
    const world = new World(backend)
    await world.push()
    const written = await backend.head(KEY)
    await world.push()
    expect(await backend.head(KEY)).toEqual(written)
    expect(world.notices).toHaveLength(1)
  })
})

/** Promises nothing before it was asked to prove it, and refuses conditions until then. */
class Unproven extends MemoryBackend {
  readonly proven: Partial<BackendGuarantees>
  override guarantees: BackendGuarantees = WEAK

  constructor(proven: Partial<BackendGuarantees>, options?: MemoryBackendOptions) {
    super(options)
    this.proven = proven
  }

  async proveGuarantees(): Promise<BackendGuarantees> {
    this.guarantees = { ...WEAK, ...this.proven }
    return this.guarantees
  }
}

describe('what a store guarantees', () => {
  it('is proven before the first conditional write, which then needs no warning', async () => {
    const inner = new Unproven({ createOnly: true, compareAndSwap: true })
    await inner.put('s3lo.yaml', CONFIG)
    const backend = new FaultyBackend(inner)
    const world = new World(backend)
    await world.push()
    const calls = backend.calls.map(({ method, key }) => `${method} ${key}`)
    expect(calls).toContain(`put ${KEY}`)
    expect(calls.indexOf('proveGuarantees ')).toBeGreaterThan(-1)
    expect(calls.indexOf('proveGuarantees ')).toBeLessThan(calls.indexOf(`put ${KEY}`))
    expect(world.notices).toEqual([])
  })

  it('is taken for nothing when the proof fails: the push warns', async () => {
    const backend = new Unproven({})
    await backend.put('s3lo.yaml', CONFIG)
    const world = new World(backend)
    await world.push()
    expect(world.notices).toMatchObject([{ code: 'immutability-not-enforced' }])
  })

  it('is never asked for by list, inspect, pull and history', async () => {
    const inner = new Unproven({ createOnly: true })
    await putImage(inner, tag, ours)
    const backend = new FaultyBackend(inner)
    await new World(backend).read()
    const methods = new Set(backend.calls.map(({ method }) => method))
    expect(methods).not.toContain('proveGuarantees')
    expect(methods).not.toContain('put')
  })
})
