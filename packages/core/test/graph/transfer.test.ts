import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { planGraph } from '../../src/graph/plan.ts'
import { selectRoot } from '../../src/graph/select.ts'
import { transferImage } from '../../src/graph/transfer.ts'
import { toDocument, parseManifest } from '../../src/oci/document.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import type { BlobSink, StreamingSource } from '../../src/contract/image-source.ts'
import type { StreamingTarget } from '../../src/contract/image-target.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
} from '../../src/testing/index.ts'
import { readAll } from '../../src/stream/read-all.ts'
import { verified } from '../../src/stream/verify-digest.ts'
import { parsePlatform } from '../../src/oci/platform.ts'

const amd64 = imageFixture({ layers: ['base', 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64/v8' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64/v8': arm64 }, { attestations: true })
const tag = { name: 'app', tag: 'v1' }

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function store(): ImageStore {
  return new ImageStore(new MemoryBackend())
}

function sourceOf(image: ImageFixture): FixtureSource {
  return new FixtureSource({ 'app:v1': image })
}

describe('planning a graph', () => {
  it('names every blob once, with the first platform that has it', async () => {
    const plan = await planGraph(sourceOf(both), both.root)
    const shared = plan.blobs.find(
      ({ descriptor }) => descriptor.digest === digestOf(bytes('base')),
    )
    expect(shared?.platform).toBe('linux/amd64')
    expect(new Set(plan.blobs.map(({ descriptor }) => descriptor.digest)).size).toBe(
      plan.blobs.length,
    )
    expect(plan.documents).toHaveLength(4)
    expect(plan.platforms + plan.attestations).toBe(4)
  })

  it('puts children before their parents', async () => {
    const inner = indexFixture({ 'linux/amd64': amd64 })
    const outer = {
      root: toDocument(
        bytes(
          JSON.stringify({
            schemaVersion: 2,
            mediaType: MEDIA_TYPE.ociIndex,
            manifests: [inner.root.descriptor],
          }),
        ),
        MEDIA_TYPE.ociIndex,
      ),
      content: new Map([...inner.content, [inner.root.descriptor.digest, inner.root.content]]),
    }
    const plan = await planGraph(sourceOf(outer), outer.root)
    expect(plan.documents.map(({ descriptor }) => descriptor.digest)).toEqual([
      amd64.root.descriptor.digest,
      inner.root.descriptor.digest,
    ])
  })

  it('refuses one digest with two sizes', async () => {
    const lying = JSON.parse(Buffer.from(amd64.root.content).toString()) as {
      layers: { size: number }[]
    }
    lying.layers.push({ ...lying.layers[0], size: 999 })
    const root = toDocument(bytes(JSON.stringify(lying)), MEDIA_TYPE.ociManifest)
    await expect(planGraph(sourceOf(amd64), root)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('refuses indexes nested deeper than anyone needs', async () => {
    const content = new Map(amd64.content)
    let top = amd64.root
    for (let depth = 0; depth < 12; depth++) {
      content.set(top.descriptor.digest, top.content)
      const manifests = [top.descriptor]
      top = toDocument(
        bytes(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests })),
        MEDIA_TYPE.ociIndex,
      )
    }
    await expect(planGraph(sourceOf({ root: top, content }), top)).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  it('does not fetch a child manifest that says it is too large', async () => {
    const huge = { ...amd64.root.descriptor, size: 5 * 1024 * 1024 }
    const root = toDocument(
      bytes(JSON.stringify({ mediaType: MEDIA_TYPE.ociIndex, manifests: [huge] })),
      MEDIA_TYPE.ociIndex,
    )
    const source = sourceOf(amd64)
    await expect(planGraph(source, root)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(source.fetched).toEqual([])
  })

  it('refuses more manifests than may be held before they are all there', async () => {
    const size = 1024 * 1024
    const manifests = Array.from({ length: 100 }, (_, i) => {
      const digest = digestOf(bytes(`manifest ${i}`))
      return { mediaType: MEDIA_TYPE.ociManifest, digest, size }
    })
    const index = bytes(JSON.stringify({ mediaType: MEDIA_TYPE.ociIndex, manifests }))
    const child = Buffer.from(Buffer.from(amd64.root.content).toString().padEnd(size))
    let fetched = 0
    const source = {
      name: 'large',
      fetch: () => {
        fetched += 1
        return Promise.resolve(Readable.from([child]))
      },
    }
    const plan = planGraph(source, toDocument(index, MEDIA_TYPE.ociIndex))
    await expect(plan).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(fetched).toBeLessThanOrEqual(64)
  })

  it('refuses a child manifest that is larger than it says', async () => {
    const small = { ...amd64.root.descriptor, size: 10 }
    const index = bytes(JSON.stringify({ mediaType: MEDIA_TYPE.ociIndex, manifests: [small] }))
    const liar = {
      name: 'liar',
      fetch: () => Promise.resolve(Readable.from([amd64.root.content])),
    }
    const plan = planGraph(liar, toDocument(index, MEDIA_TYPE.ociIndex))
    await expect(plan).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('ends when an index names itself', async () => {
    // A real cycle needs a hash collision; a source that lies about content must not hang us.
    const digest = `sha256:${'a'.repeat(64)}`
    const self = { mediaType: MEDIA_TYPE.ociIndex, digest, size: 1000 }
    const content = bytes(JSON.stringify({ mediaType: MEDIA_TYPE.ociIndex, manifests: [self] }))
    const liar = {
      name: 'liar',
      fetch: () => Promise.resolve(Readable.from([content])),
    }
    const plan = await planGraph(liar, toDocument(content, MEDIA_TYPE.ociIndex))
    expect(plan.documents).toHaveLength(1)
  })
})

describe('selecting platforms', () => {
  it('gives the one manifest for one platform', async () => {
    const selection = { kind: 'platforms', platforms: [parsePlatform('linux/arm64')] } as const
    const root = await selectRoot(sourceOf(both), both.root, selection)
    expect(root.descriptor.digest).toBe(arm64.root.descriptor.digest)
  })

  it('keeps the attestations of the platforms that it keeps, and members it does not know', async () => {
    const raw = JSON.parse(Buffer.from(both.root.content).toString()) as Record<string, unknown>
    const s390x = imageFixture({ layers: ['z'], platform: 'linux/s390x' })
    const three = indexFixture(
      { 'linux/amd64': amd64, 'linux/arm64/v8': arm64, 'linux/s390x': s390x },
      { attestations: true },
    )
    const withExtra = toDocument(
      bytes(
        JSON.stringify({
          ...JSON.parse(Buffer.from(three.root.content).toString()),
          extra: { a: 1 },
        }),
      ),
      MEDIA_TYPE.ociIndex,
    )
    const platforms = ['linux/amd64', 'linux/arm64'].map(parsePlatform)
    const root = await selectRoot(sourceOf(three), withExtra, { kind: 'platforms', platforms })
    const kept = parseManifest(root.content, 'kept')
    expect(kept.kind === 'index' && kept.manifests).toHaveLength(4)
    expect(JSON.parse(Buffer.from(root.content).toString())).toMatchObject({ extra: { a: 1 } })
    expect(raw['manifests']).toHaveLength(4)
  })

  it.each([
    ['platforms', 'linux/s390x'],
    ['run', 'linux/s390x'],
    ['choose', 'linux/s390x'],
  ] as const)('says what there is when %s asks for what there is not', async (kind, text) => {
    const platform = parsePlatform(text)
    const selection = kind === 'platforms' ? { kind, platforms: [platform] } : { kind, platform }
    await expect(selectRoot(sourceOf(both), both.root, selection)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('linux/amd64'),
    })
  })

  it('refuses a single image of another platform', async () => {
    const selection = { kind: 'run', platform: parsePlatform('linux/arm64') } as const
    await expect(selectRoot(sourceOf(amd64), amd64.root, selection)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('transferring', () => {
  it('skips what the target has and replaces what is torn', async () => {
    const target = store()
    const to = { target, reference: tag }
    const from = { source: sourceOf(amd64), reference: tag }
    await transferImage(from, to, { selection: { kind: 'all' } })
    const torn = `blobs/sha256/${digestOf(bytes('base')).slice(7)}`
    await target.backend.put(torn, bytes('ba'))
    const again = await transferImage(from, to, { selection: { kind: 'all' } })
    expect(again).toMatchObject({ blobsCopied: 1, blobsSkipped: 2 })
    const { body } = await target.backend.get(torn)
    expect(Buffer.from(await readAll(body, 100, 'blob')).toString()).toBe('base')
  })

  it('leaves no tag when a blob is wrong', async () => {
    const content = new Map(amd64.content)
    content.set(digestOf(bytes('amd')), bytes('AMD'))
    const target = store()
    const from = { source: sourceOf({ root: amd64.root, content }), reference: tag }
    const to = { target, reference: tag }
    await expect(transferImage(from, to, { selection: { kind: 'all' } })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
    expect(await target.find(tag)).toBeUndefined()
    expect(await target.backend.head(`blobs/sha256/${digestOf(bytes('amd')).slice(7)}`)).toBe(
      undefined,
    )
  })

  it('keeps layers with equal digests once and the manifest as it was', async () => {
    const repeated = imageFixture({ layers: ['same', 'same', 'same', 'other'] })
    const target = store()
    const from = { source: sourceOf(repeated), reference: tag }
    const result = await transferImage(
      from,
      { target, reference: tag },
      { selection: { kind: 'all' } },
    )
    expect(result.blobsCopied).toBe(3)
    expect((await target.read(tag)).content).toEqual(Buffer.from(repeated.root.content))
  })

  it('reports progress: a plan, and each blob once', async () => {
    const events: string[] = []
    let moved = 0
    await transferImage(
      { source: sourceOf(both), reference: tag },
      { target: store(), reference: tag },
      {
        selection: { kind: 'all' },
        onProgress: (event) => {
          if (event.type === 'bytes') moved += event.delta
          else events.push(event.type === 'blob' ? `${event.phase} ${event.platform}` : event.type)
        },
      },
    )
    expect(events[0]).toBe('plan')
    const { blobs } = await planGraph(sourceOf(both), both.root)
    expect(events.filter((event) => event.startsWith('done'))).toHaveLength(blobs.length)
    expect(moved).toBe(blobs.reduce((sum, { descriptor }) => sum + descriptor.size, 0))
  })

  it('stops at an abort with its reason and leaves no tag', async () => {
    const target = store()
    const controller = new AbortController()
    const reason = new Error('enough')
    const running = transferImage(
      { source: sourceOf(both), reference: tag },
      { target, reference: tag },
      {
        selection: { kind: 'all' },
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      },
    )
    await expect(running).rejects.toBe(reason)
    expect(await target.find(tag)).toBeUndefined()
  })
})

/** An engine in miniature: gives its blobs in its own order, once. */
class FixtureStream implements StreamingSource {
  readonly kind = 'streaming'
  readonly name = 'stream'
  transfers = 0
  readonly #image: ImageFixture
  readonly #leaveOut: string | undefined

  constructor(image: ImageFixture, leaveOut?: string) {
    this.#image = image
    this.#leaveOut = leaveOut
  }

  matches(_: unknown, document: { descriptor: { digest: string } }): Promise<boolean> {
    return Promise.resolve(document.descriptor.digest === this.#image.root.descriptor.digest)
  }

  async transfer(_: unknown, sink: BlobSink): Promise<ImageFixture['root']> {
    this.transfers++
    for (const [digest, content] of [...this.#image.content].toReversed()) {
      if (digest === this.#leaveOut) continue
      const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest, size: content.byteLength }
      if (await sink.has(descriptor)) continue
      await sink.put(descriptor, Readable.from([content]))
    }
    return this.#image.root
  }
}

describe('transferring from a stream', () => {
  it('reads the stream once, and not at all when the image is there whole', async () => {
    const source = new FixtureStream(both)
    const target = store()
    const ends = [
      { source, reference: tag },
      { target, reference: tag },
    ] as const
    const first = await transferImage(...ends, { selection: { kind: 'all' } })
    const second = await transferImage(...ends, { selection: { kind: 'all' } })
    expect(source.transfers).toBe(1)
    expect(second.plan.root.descriptor).toEqual(first.plan.root.descriptor)
    expect(second.blobsCopied).toBe(0)
  })

  it('reads it again when a blob of the present image is torn', async () => {
    const source = new FixtureStream(amd64)
    const target = store()
    const ends = [
      { source, reference: tag },
      { target, reference: tag },
    ] as const
    await transferImage(...ends, { selection: { kind: 'all' } })
    await target.backend.delete([`blobs/sha256/${digestOf(bytes('amd')).slice(7)}`])
    await transferImage(...ends, { selection: { kind: 'all' } })
    expect(source.transfers).toBe(2)
    expect(
      await target.backend.head(`blobs/sha256/${digestOf(bytes('amd')).slice(7)}`),
    ).toBeDefined()
  })

  it('publishes nothing when the stream left a blob out', async () => {
    const source = new FixtureStream(amd64, digestOf(bytes('base')))
    const target = store()
    await expect(
      transferImage(
        { source, reference: tag },
        { target, reference: tag },
        { selection: { kind: 'all' } },
      ),
    ).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await target.find(tag)).toBeUndefined()
  })
})

describe('transferring to a stream', () => {
  it('gives an engine that takes one platform the chosen one, with verified content', async () => {
    const received: string[] = []
    const target: StreamingTarget = {
      kind: 'streaming',
      name: 'engine',
      acceptsIndex: () => Promise.resolve(false),
      async receive(root, source) {
        const manifest = parseManifest(root.content, 'root')
        for (const part of manifest.kind === 'manifest' ? manifest.layers : []) {
          const content = verified(await source.fetch(part), part)
          received.push(Buffer.from(await readAll(content, 1000, 'layer')).toString())
        }
      },
    }
    await transferImage(
      { source: sourceOf(both), reference: tag },
      { target, reference: tag },
      { selection: { kind: 'choose', platform: parsePlatform('linux/arm64') } },
    )
    expect(received).toEqual(['base', 'arm'])
  })
})
