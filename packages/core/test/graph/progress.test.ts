import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Publication, StreamingTarget } from '../../src/contract/image-target.ts'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import { copyGraph } from '../../src/graph/copy-graph.ts'
import { planGraph } from '../../src/graph/plan.ts'
import { transferImage } from '../../src/graph/transfer.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { totalSize } from '../../src/oci/descriptor.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/document.ts'
import { parsePlatform } from '../../src/oci/platform.ts'
import { clean } from '../../src/operations/clean.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { withImageLayout } from '../../src/operations/image-layout.ts'
import { layerSharing } from '../../src/operations/layer-sharing.ts'
import { push } from '../../src/operations/push.ts'
import { stats } from '../../src/operations/stats.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { readAll } from '../../src/stream/read-all.ts'
import {
  FixtureSource,
  imageFixture,
  indexFixture,
  MemoryBackend,
} from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['base', 'top'], platform: 'linux/amd64' })
const other = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': image, 'linux/arm64': other }, { attestations: true })
const tag = { name: 'app', tag: 'v1' }
const to = { ...tag, scheme: 'memory', bucket: 'b', image: 'app' }

/** What a listener hears, and the rules that every operation keeps. */
function listen() {
  const events: ProgressEvent[] = []
  return {
    events,
    onProgress: (event: ProgressEvent) => void events.push(event),
    ofType: <T extends ProgressEvent['type']>(type: T) =>
      events.filter((event): event is Extract<ProgressEvent, { type: T }> => event.type === type),
    phases() {
      return this.ofType('blob').flatMap(({ phase }) => (phase === 'start' ? [] : [phase]))
    },
    moved() {
      return this.ofType('bytes').reduce((sum, { delta }) => sum + delta, 0)
    },
  }
}

async function planOf(fixture: typeof image) {
  const source = new FixtureSource({ 'app:v1': fixture })
  const plan = await planGraph(source, fixture.root)
  return { source, plan, bytes: totalSize(plan.blobs.map(({ descriptor }) => descriptor)) }
}

function store(): ImageStore {
  return new ImageStore(new MemoryBackend())
}

describe('the progress of a transfer', () => {
  it('is a plan, then each blob with its platform, then bytes that add up to the plan', async () => {
    const heard = listen()
    const { source, plan, bytes } = await planOf(both)
    const request = { selection: { kind: 'all' }, onProgress: heard.onProgress } as const
    await transferImage({ source, reference: tag }, { target: store(), reference: tag }, request)
    expect(heard.events[0]).toEqual({ type: 'plan', blobs: plan.blobs.length, bytes })
    expect(heard.ofType('plan')).toHaveLength(1)
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'done'))
    expect(heard.moved()).toBe(bytes)
    const ended = heard.ofType('blob').filter(({ phase }) => phase === 'done')
    expect(new Set(ended.map(({ platform }) => platform))).toEqual(
      new Set(plan.blobs.map(({ platform }) => platform)),
    )
  })

  it('of an image that is there already is its plan and every blob as skipped', async () => {
    const { source, plan, bytes } = await planOf(image)
    const target = store()
    const request = { selection: { kind: 'all' } } as const
    await transferImage({ source, reference: tag }, { target, reference: tag }, request)
    const heard = listen()
    const again = { ...request, onProgress: heard.onProgress }
    await transferImage({ source, reference: tag }, { target, reference: tag }, again)
    expect(heard.events[0]).toEqual({ type: 'plan', blobs: plan.blobs.length, bytes })
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'skip'))
    expect(heard.moved()).toBe(0)
  })

  it('of a copy inside a store that adopts the image is its plan and every blob as skipped', async () => {
    const { source, plan } = await planOf(image)
    const backend = new MemoryBackend()
    const target = new ImageStore(backend)
    const request = { selection: { kind: 'all' } } as const
    await transferImage({ source, reference: tag }, { target, reference: tag }, request)
    const heard = listen()
    await transferImage(
      { source: target, reference: tag },
      { target, reference: { name: 'app', tag: 'v2' } },
      { ...request, onProgress: heard.onProgress },
    )
    expect(heard.ofType('plan')).toHaveLength(1)
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'skip'))
  })

  it('does not count bytes twice that a target had to read again', async () => {
    const { source, plan, bytes } = await planOf(image)
    const heard = listen()
    const stubborn: Publication = {
      has: () => Promise.resolve(false),
      tag: () => Promise.resolve(),
      async put({ size, digest }, open) {
        await readAll(await open(), size, digest)
        await readAll(await open(), size, digest)
      },
    }
    await copyGraph(source, stubborn, plan, { onProgress: heard.onProgress })
    expect(heard.moved()).toBe(bytes)
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'done'))
  })

  it('of a target that takes a stream counts each blob once, and what it leaves unread as skipped', async () => {
    const { source, plan } = await planOf(image)
    const [config, first] = plan.blobs.map(({ descriptor }) => descriptor)
    const heard = listen()
    const target: StreamingTarget = {
      kind: 'streaming',
      name: 'tape',
      acceptsIndex: () => Promise.resolve(true),
      async receive(_root, from) {
        for (const blob of [config, first, first]) {
          if (blob) await readAll(await from.fetch(blob), blob.size, blob.digest)
        }
      },
    }
    const request = { selection: { kind: 'all' }, onProgress: heard.onProgress } as const
    const result = await transferImage(
      { source, reference: tag },
      { target, reference: tag },
      request,
    )
    expect(heard.phases()).toEqual(['done', 'done', 'skip'])
    expect(heard.moved()).toBe((config?.size ?? 0) + (first?.size ?? 0))
    expect(result).toMatchObject({ blobsCopied: 2, blobsSkipped: 1, bytesCopied: heard.moved() })
  })

  it('of a stream that asks for a blob twice ends it once, and counts no manifests', async () => {
    const { source, plan, bytes } = await planOf(both)
    const heard = listen()
    const result = await push(
      {
        reference: tag,
        source: {
          kind: 'streaming',
          name: 'stream',
          matches: () => Promise.resolve(false),
          async transfer(_reference, sink) {
            for (const { descriptor } of [...plan.blobs, ...plan.blobs]) {
              if (!(await sink.has(descriptor)))
                await sink.put(descriptor, await source.fetch(descriptor))
            }
            for (const { descriptor, content } of plan.documents) {
              await sink.put(descriptor, Readable.from([content]))
            }
            return both.root
          },
        },
      },
      store(),
      to,
      { allPlatforms: true, onProgress: heard.onProgress },
    )
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'done'))
    expect(heard.moved()).toBe(bytes)
    expect(result).toMatchObject({ blobs_uploaded: plan.blobs.length, bytes_uploaded: bytes })
  })

  it('names the descriptor of content whose digest only its end told', async () => {
    const { source, plan } = await planOf(image)
    const heard = listen()
    await push(
      {
        reference: tag,
        source: {
          kind: 'streaming',
          name: 'stream',
          matches: () => Promise.resolve(false),
          async transfer(_reference, sink) {
            for (const { descriptor } of plan.blobs) {
              const content = await source.fetch(descriptor)
              await sink.ingest(content, descriptor.size, descriptor.mediaType)
            }
            return image.root
          },
        },
      },
      store(),
      to,
      { onProgress: heard.onProgress },
    )
    const blobs = heard.ofType('blob')
    expect(blobs.map(({ phase }) => phase)).toEqual(plan.blobs.flatMap(() => ['start', 'done']))
    expect(blobs.filter(({ phase }) => phase === 'done').map((b) => b.descriptor.digest)).toEqual(
      plan.blobs.map(({ descriptor }) => descriptor.digest),
    )
  })
})

describe('the progress of a look at every image', () => {
  async function filled(): Promise<ImageStore> {
    const { source } = await planOf(both)
    const target = store()
    const request = { selection: { kind: 'all' } } as const
    await transferImage({ source, reference: tag }, { target, reference: tag }, request)
    return target
  }

  /** Each leg has a plan, which its blobs and bytes make true before the next one. */
  function legs(events: readonly ProgressEvent[]) {
    const found: { plan: [number, number]; done: [number, number]; moved: number }[] = []
    for (const event of events) {
      if (event.type === 'plan') {
        found.push({ plan: [event.blobs, event.bytes], done: [0, 0], moved: 0 })
      }
      const leg = found.at(-1)
      if (event.type === 'bytes' && leg) leg.moved += event.delta
      if (event.type !== 'blob' || event.phase === 'start') continue
      if (!leg) throw new Error('a blob came before every plan')
      leg.done = [leg.done[0] + 1, leg.done[1] + event.descriptor.size]
    }
    return found
  }

  it.each([
    ['doctor', (s: ImageStore, o: Listener) => doctor(s, '', { probe: false, ...o })],
    ['stats', (s: ImageStore, o: Listener) => stats(s, '', o)],
    ['layerSharing', (s: ImageStore, o: Listener) => layerSharing(s, '', o)],
  ])('by %s has a plan of the tags, and one of what they list', async (_, look) => {
    const target = await filled()
    const heard = listen()
    await look(target, heard)
    const [first, second, ...others] = legs(heard.events)
    const size = both.root.descriptor.size
    expect(first).toEqual({ plan: [1, size], done: [1, size], moved: size })
    expect(second?.plan[0]).toBeGreaterThan(1)
    expect(second?.done).toEqual(second?.plan)
    expect(second?.moved).toBe(second?.plan[1])
    expect(others).toEqual([])
  })

  it('ends what cannot be read as skipped', async () => {
    const target = await filled()
    await target.backend.put('manifests/app/bad/manifest.json', Buffer.from('{}'))
    await target.backend.delete([blobKey(parseIndex(both.root.content)[0] ?? '')])
    const heard = listen()
    await doctor(target, '', { probe: false, ...heard })
    for (const { plan, done } of legs(heard.events)) expect(done).toEqual(plan)
    expect(heard.phases()).toContain('skip')
  })

  it('of a clean has a plan of the tags, and one of each round of deletions', async () => {
    const target = await filled()
    for (const content of ['garbage', 'more of it']) {
      const bytes = Buffer.from(content)
      await target.backend.put(blobKey(digestOf(bytes)), bytes)
    }
    const heard = listen()
    const protocol = { delay: () => Promise.resolve() }
    await clean(target, '', { confirm: true, graceMs: 0, protocol, ...heard })
    const [manifests, garbage, ...others] = legs(heard.events)
    const { size } = both.root.descriptor
    expect(manifests).toEqual({ plan: [1, size], done: [1, size], moved: size })
    expect(garbage).toEqual({ plan: [2, 17], done: [2, 17], moved: 0 })
    expect(others).toEqual([])
  })
})

type Listener = Pick<ReturnType<typeof listen>, 'onProgress'>

function parseIndex(content: Uint8Array): readonly string[] {
  const manifest = parseManifest(content, 'index')
  return manifest.kind === 'index' ? manifest.manifests.map(({ digest }) => digest) : []
}

describe('the progress of a look into an image', () => {
  it('is its plan, each blob with its platform, and the bytes', async () => {
    const { source, plan, bytes } = await planOf(image)
    const heard = listen()
    const descriptor = { ...image.root.descriptor, platform: parsePlatform('linux/amd64') }
    const manifest = { ...image.root, descriptor }
    const content = { name: 'app', manifest, source, backend: new MemoryBackend() }
    await withImageLayout(content, () => Promise.resolve(), { onProgress: heard.onProgress })
    expect(heard.events[0]).toEqual({ type: 'plan', blobs: plan.blobs.length, bytes })
    expect(heard.phases()).toEqual(plan.blobs.map(() => 'done'))
    expect(heard.moved()).toBe(bytes)
    expect(heard.ofType('blob').every(({ platform }) => platform === 'linux/amd64')).toBe(true)
  })
})
