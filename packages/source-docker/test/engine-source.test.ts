import { Readable } from 'node:stream'
import { digestOf, isS3loError, MEDIA_TYPE, type ProgressEvent } from '@s3lo/core'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { openSource } from '../src/docker-daemon.ts'
import { finishDockerSave } from '../src/image/finish-docker-save.ts'
import { readSave } from '../src/image/read-save.ts'
import { StreamReader } from '../src/tar/byte-reader.ts'
import { FakeEngine } from './fake-engine.ts'
import {
  containerdSave,
  encode,
  legacySave,
  makeImage,
  makeLayer,
  makeMultiPlatform,
  manifestOver,
  type MultiPlatformImage,
  overlaySave,
  podmanSave,
  tarOf,
  threeLayers,
  type TestImage,
} from './images.ts'
import { MemorySink } from './memory-sink.ts'
import { codeOf } from './code-of.ts'

let engine: FakeEngine | undefined
afterEach(async () => {
  await engine?.stop()
  engine = undefined
})

async function start(...options: Parameters<typeof FakeEngine.start>): Promise<FakeEngine> {
  engine = await FakeEngine.start(...options)
  return engine
}

async function open(host: string, text = 'app:v1') {
  const opened = await openSource(text, { env: { DOCKER_HOST: host } })
  if (opened.source.kind !== 'streaming') throw new Error('an engine streams')
  return { source: opened.source, reference: opened.reference }
}

function inspectOf({ configDigest, layers }: TestImage, more: object = {}): object {
  const RootFS = { Type: 'layers', Layers: layers.map(({ diffId }) => diffId) }
  return { Id: configDigest, Os: 'linux', Architecture: 'amd64', RootFS, ...more }
}

/** The plans of a transfer into an empty sink, and what else was heard before the first blob. */
async function plansOf(fake: FakeEngine, allPlatforms = false): Promise<readonly object[]> {
  const plans: ProgressEvent[] = []
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'plan') plans.push(event)
  }
  const { source, reference } = await open(fake.host)
  await source.transfer(reference, new MemorySink(), { allPlatforms, onProgress })
  return plans
}

describe('what an engine tells of an image before it saves it', () => {
  it('is the plan, with a graph driver the size of its layers', async () => {
    const image = await threeLayers()
    const fake = await start({ api: '1.45', kind: 'graphdriver' })
    fake.bytes('GET /v1.45/images/app:v1/get', await overlaySave(image, 'app:v1'))
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image, { Size: 12_345 }))
    expect(await plansOf(fake)).toEqual([{ type: 'plan', blobs: 4, bytes: 12_345 }])
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image, { Size: -1 }))
    expect(await plansOf(fake)).toEqual([])
  })

  it('is the plan, with a containerd store the content of the platforms that are pushed', async () => {
    const multi = await makeMultiPlatform()
    const fake = await start({ api: '1.48', kind: 'containerd' })
    const name = 'docker.io/library/app:v1'
    fake.bytes(
      'GET /v1.48/images/app:v1/get',
      await containerdSave([multi.index.descriptor], multi.blobs, name),
    )
    const Manifests = Object.values(multi.children).map(({ descriptor }, i) => ({
      Descriptor: descriptor,
      Available: true,
      Kind: 'image',
      Size: { Content: 100 * (i + 1) },
      ImageData: { Platform: { os: 'linux', architecture: i === 0 ? 'amd64' : 'arm64' } },
    }))
    const RootFS = { Layers: [`sha256:${'0'.repeat(64)}`] }
    const Id = multi.index.descriptor.digest
    fake.json('GET /v1.48/images/app:v1/json', { Id, Os: 'linux', RootFS, Manifests })
    const total = Manifests.reduce((sum, { Size }) => sum + Size.Content, 0)
    const blobs = 2 * Manifests.length
    expect(await plansOf(fake, true)).toEqual([{ type: 'plan', blobs, bytes: total }])
  })
})

describe('an engine with a graph driver', () => {
  it.each([
    ['docker before 25', legacySave, '1.41', 'graphdriver'],
    ['docker since 25', overlaySave, '1.45', 'graphdriver'],
    ['podman', podmanSave, '1.41', 'podman'],
  ] as const)('gives the same image from what %s saves', async (_, save, api, kind) => {
    const image = await threeLayers()
    const fake = await start({ api, kind })
    fake.json(`GET /v${api}/images/app:v1/json`, inspectOf(image))
    fake.bytes(`GET /v${api}/images/app:v1/get`, await save(image, 'app:v1'))
    const { source, reference } = await open(fake.host)
    const sink = new MemorySink()
    const document = await source.transfer(reference, sink)
    expect(Buffer.from(document.content).toString()).toBe(
      Buffer.from(image.document.content).toString(),
    )
    expect(document.descriptor).toEqual(image.document.descriptor)
    const wanted = [image.configDigest, ...image.layers.map(({ diffId }) => diffId)]
    expect([...sink.blobs.keys()].toSorted()).toEqual([...new Set(wanted)].toSorted())
    await source.close?.()
  })

  it('reads no layer again that the sink has', async () => {
    const image = await threeLayers()
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    fake.bytes('GET /v1.45/images/app:v1/get', await overlaySave(image, 'app:v1'))
    const { source, reference } = await open(fake.host)
    const sink = new MemorySink(image.config, ...image.layers.map(({ plain }) => plain))
    await source.transfer(reference, sink)
    expect(sink.calls).toEqual([])
  })

  it('knows the last layer of a legacy save by leaving out the others', async () => {
    const image = await makeImage([await makeLayer('only')])
    const fake = await start({ api: '1.41' })
    fake.json('GET /v1.41/images/app:v1/json', inspectOf(image))
    fake.bytes('GET /v1.41/images/app:v1/get', await legacySave(image, 'app:v1'))
    const { source, reference } = await open(fake.host)
    const sink = new MemorySink()
    await source.transfer(reference, sink)
    expect(sink.calls).toContain(`put ${image.layers[0]?.diffId}`)
  })

  it('says that it has nothing new exactly when the manifest would be the same', async () => {
    const image = await threeLayers()
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    const { source, reference } = await open(fake.host)
    expect(await source.matches(reference, image.document)).toBe(true)
    const other = await makeImage(image.layers.slice(1))
    expect(await source.matches(reference, other.document)).toBe(false)
    const gzip = manifestOver(
      image.config,
      image.layers.map((l) => [MEDIA_TYPE.ociLayerGzip, l.gzip]),
    )
    expect(await source.matches(reference, gzip)).toBe(false)
    const arm = { platform: { os: 'linux', architecture: 'arm64' } }
    expect(await source.matches(reference, image.document, arm)).toBe(false)
  })

  it('refuses a platform that the image is not', async () => {
    const image = await threeLayers()
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    const { source, reference } = await open(fake.host)
    const platform = { os: 'linux', architecture: 's390x' }
    expect(await codeOf(source.transfer(reference, new MemorySink(), { platform }))).toBe(
      'NOT_FOUND',
    )
  })

  it('refuses a save whose layers are not those of its config', async () => {
    const image = await threeLayers()
    const forged = { ...image, layers: [...image.layers.slice(0, 2), await makeLayer('forged')] }
    const fake = await start({ api: '1.41' })
    fake.json('GET /v1.41/images/app:v1/json', inspectOf(image))
    fake.bytes('GET /v1.41/images/app:v1/get', await legacySave(forged, 'app:v1'))
    const { source, reference } = await open(fake.host)
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('INTEGRITY')
  })

  it('refuses a save of another image than was inspected', async () => {
    const image = await threeLayers()
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', {
      ...inspectOf(image),
      Id: `sha256:${'0'.repeat(64)}`,
    })
    fake.bytes('GET /v1.45/images/app:v1/get', await overlaySave(image, 'app:v1'))
    const { source, reference } = await open(fake.host)
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('INTEGRITY')
  })

  it.each(['../../escape', '/absolute'])('refuses a save with the name %s', async (name) => {
    const image = await threeLayers()
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    fake.bytes('GET /v1.45/images/app:v1/get', await tarOf({ [name]: Buffer.from('x') }))
    const { source, reference } = await open(fake.host)
    const sink = new MemorySink()
    expect(await codeOf(source.transfer(reference, sink))).toBe('INTEGRITY')
    expect(sink.calls).toEqual([])
  })

  it('fails when the save breaks off', async () => {
    const image = await threeLayers()
    const fake = await start()
    const save = await overlaySave(image, 'app:v1')
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    fake.on('GET /v1.45/images/app:v1/get', (_request, response) => {
      response.write(save.subarray(0, save.length / 2), () => response.destroy())
    })
    const { source, reference } = await open(fake.host)
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('UNAVAILABLE')
  })

  it('gives the reason of an abort and frees the connection', async () => {
    const image = await threeLayers()
    const fake = await start()
    const abort = new AbortController()
    const reason = new Error('enough')
    fake.json('GET /v1.45/images/app:v1/json', inspectOf(image))
    const freed = new Promise<void>((resolve) => {
      fake.on('GET /v1.45/images/app:v1/get', (request, response) => {
        response.write(Buffer.alloc(100))
        request.socket.once('close', () => resolve())
        abort.abort(reason)
      })
    })
    const { source, reference } = await open(fake.host)
    const transfer = source.transfer(reference, new MemorySink(), { signal: abort.signal })
    await expect(transfer).rejects.toBe(reason)
    await freed
  })
})

/** A containerd store with these blobs, saving them all or one platform's. */
async function startContainerd(
  multi: MultiPlatformImage,
  api: '1.45' | '1.51',
  missing: readonly Uint8Array[] = [],
): Promise<FakeEngine> {
  const fake = await start({ api, kind: 'containerd' })
  const present = multi.blobs.filter((blob) => !missing.includes(blob))
  const has = (digest: string): boolean => present.some((blob) => digestOf(blob) === digest)
  const variant = (name: 'amd64' | 'arm64', Platform: object): object => ({
    Descriptor: { ...multi.children[name].descriptor, platform: Platform },
    Available: has(digestOf(multi.layerOf[name])),
    Kind: 'image',
    ImageData: { Platform },
  })
  fake.json(`GET /v${api}/images/app:v1/json`, {
    Id: multi.index.descriptor.digest,
    Os: 'linux',
    Architecture: 'amd64',
    RootFS: { Layers: [] },
    ...(api === '1.51' && {
      Manifests: [
        variant('amd64', { os: 'linux', architecture: 'amd64' }),
        variant('arm64', { os: 'linux', architecture: 'arm64', variant: 'v8' }),
        { Descriptor: multi.attestation.descriptor, Available: true, Kind: 'attestation' },
      ],
    }),
  })
  fake.on(`GET /v${api}/images/app:v1/get`, async (request, response) => {
    const wanted = new URL(request.url ?? '', 'http://engine').searchParams.get('platform')
    const name = wanted === null ? undefined : wanted.includes('arm64') ? 'arm64' : 'amd64'
    const root = name ? multi.children[name].descriptor : multi.index.descriptor
    const others = name === 'amd64' ? multi.layerOf.arm64 : multi.layerOf.amd64
    const blobs = name ? present.filter((blob) => blob !== others) : present
    response.end(await containerdSave([root], blobs, 'docker.io/library/app:v1'))
  })
  return fake
}

describe.each(['1.45', '1.51'] as const)('an engine with a containerd store, API %s', (api) => {
  it('gives the whole index bit for bit, attestations included', async () => {
    const multi = await makeMultiPlatform()
    const { source, reference } = await open((await startContainerd(multi, api)).host)
    const sink = new MemorySink()
    const document = await source.transfer(reference, sink, { allPlatforms: true })
    expect(document).toEqual(multi.index)
    sink.add(document)
    expect([...sink.blobs.keys()].toSorted()).toEqual(
      multi.blobs.map((blob) => digestOf(blob)).toSorted(),
    )
  })

  it('gives one platform and says what it leaves behind', async () => {
    const multi = await makeMultiPlatform()
    const { source, reference } = await open((await startContainerd(multi, api)).host)
    const events: ProgressEvent[] = []
    const sink = new MemorySink()
    const document = await source.transfer(reference, sink, {
      platform: { os: 'linux', architecture: 'arm64' },
      onProgress: (event) => events.push(event),
    })
    expect(document).toEqual(multi.children.arm64)
    expect(sink.blobs.has(digestOf(multi.layerOf.arm64))).toBe(true)
    expect(events).toEqual([
      { type: 'notice', code: 'platforms-left', message: 'left behind: linux/amd64' },
    ])
  })

  it('wants every platform when all are asked for', async () => {
    const multi = await makeMultiPlatform()
    const fake = await startContainerd(multi, api, [multi.layerOf.arm64])
    const { source, reference } = await open(fake.host)
    const transfer = source.transfer(reference, new MemorySink(), { allPlatforms: true })
    await expect(transfer).rejects.toThrow(/arm64/)
    expect(await codeOf(transfer)).toBe('NOT_FOUND')
  })

  it('has no platform that the image has not', async () => {
    const multi = await makeMultiPlatform()
    const { source, reference } = await open((await startContainerd(multi, api)).host)
    const platform = { os: 'linux', architecture: 'riscv64' }
    expect(await codeOf(source.transfer(reference, new MemorySink(), { platform }))).toBe(
      'NOT_FOUND',
    )
  })
})

describe('a containerd store that lists its manifests', () => {
  it('is asked for one platform only', async () => {
    const multi = await makeMultiPlatform()
    const fake = await startContainerd(multi, '1.51', [multi.layerOf.arm64])
    const { source, reference } = await open(fake.host)
    const sink = new MemorySink()
    expect(await source.transfer(reference, sink)).toEqual(multi.children.amd64)
    expect(fake.requests.at(-1)).toContain('platform={"os":"linux","architecture":"amd64"}')
  })

  it('tells beforehand which digest it would give', async () => {
    const multi = await makeMultiPlatform()
    const { source, reference } = await open((await startContainerd(multi, '1.51')).host)
    const platform = { os: 'linux', architecture: 'arm64' }
    expect(await source.matches(reference, multi.children.arm64, { platform })).toBe(true)
    expect(await source.matches(reference, multi.children.amd64, { platform })).toBe(false)
    expect(await source.matches(reference, multi.index, { allPlatforms: true })).toBe(true)
    expect(await source.matches(reference, multi.index)).toBe(false)
  })
})

describe('an engine that is not well', () => {
  it('is unavailable when its socket is not there', async () => {
    const { source, reference } = await open('unix:///nowhere/engine.sock')
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('UNAVAILABLE')
  })

  it('has no such image', async () => {
    const { source, reference } = await open((await start()).host)
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('NOT_FOUND')
  })

  it.each([
    [500, 'UNAVAILABLE'],
    [403, 'FORBIDDEN'],
    [400, 'UNSUPPORTED'],
  ])('answers %i, which is %s with its own words', async (status, code) => {
    const fake = await start()
    fake.json('GET /v1.45/images/app:v1/json', { message: 'the disk is on fire' }, status)
    const { source, reference } = await open(fake.host)
    const transfer = source.transfer(reference, new MemorySink())
    await expect(transfer).rejects.toThrow('the disk is on fire')
    expect(await codeOf(transfer)).toBe(code)
  })

  it('is not believed when it speaks no JSON or too much of it', async () => {
    const fake = await start()
    fake.bytes('GET /v1.45/images/app:v1/json', Buffer.from('<html>'))
    const { source, reference } = await open(fake.host)
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('INTEGRITY')
    fake.bytes('GET /v1.45/images/app:v1/json', Buffer.alloc(33 * 1024 * 1024, 0x20))
    expect(await codeOf(source.transfer(reference, new MemorySink()))).toBe('INTEGRITY')
  })

  it('holds no image by a name that is none', async () => {
    for (const name of ['UPPER', 'a b', 'a?x=1', '../x', 'a#b', '', 'a:', 'a@sha256:1']) {
      expect(await codeOf(openSource(name, { env: {} }))).toBe('INVALID_REFERENCE')
    }
  })

  it('gives images by id too', async () => {
    const image = await threeLayers()
    const fake = await start()
    fake.json(`GET /v1.45/images/${image.configDigest}/json`, inspectOf(image))
    const { source, reference } = await open(fake.host, image.configDigest)
    expect(await source.matches(reference, image.document)).toBe(true)
  })

  it('may be newer than we know, and is spoken to as we know it', async () => {
    const image = await threeLayers()
    const fake = await start({ api: '1.99' })
    fake.json('GET /v1.51/info', {})
    fake.json('GET /v1.51/images/app:v1/json', inspectOf(image))
    const { source, reference } = await open(fake.host)
    expect(await source.matches(reference, image.document)).toBe(true)
  })
})

it('gives the known image or an error, with any damage to the bytes of a save', async () => {
  const image = await threeLayers()
  const saves = await Promise.all(
    [legacySave, overlaySave, podmanSave].map((save) => save(image, 'a:1')),
  )
  const diffIds = image.layers.map(({ diffId }) => diffId)
  const change = fc.tuple(
    fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    fc.nat(255),
  )
  await fc.assert(
    fc.asyncProperty(fc.nat(2), fc.array(change, { maxLength: 4 }), async (which, changes) => {
      const bytes = Buffer.from(saves[which] ?? '')
      for (const [at, value] of changes) bytes[Math.floor(at * bytes.length)] = value
      const reader = new StreamReader(Readable.from([bytes]) as AsyncIterable<Buffer>, 'save')
      const sink = new MemorySink()
      try {
        const save = await readSave(reader, sink, { archive: 'save', format: 'docker', diffIds })
        const wanted = { configDigest: image.configDigest }
        expect(await finishDockerSave(save, sink, wanted)).toEqual(image.document)
        for (const digest of diffIds) expect(sink.blobs.has(digest)).toBe(true)
      } catch (error) {
        if (!isS3loError(error)) throw error
      }
    }),
    { numRuns: 150 },
  )
})

it('tells by its id whether an older containerd store has the same manifest', async () => {
  const image = await threeLayers()
  const fake = await start({ api: '1.45', kind: 'containerd' })
  const { digest: Id } = image.document.descriptor
  fake.json('GET /v1.45/images/app:v1/json', inspectOf(image, { Id }))
  const { source, reference } = await open(fake.host)
  expect(await source.matches(reference, image.document)).toBe(true)
  const platform = { os: 'linux', architecture: 'arm64' }
  expect(await source.matches(reference, image.document, { platform })).toBe(false)
  expect(await source.matches(reference, image.document, { allPlatforms: true })).toBe(false)
})

it('keeps JSON that is content of a layout as content', async () => {
  const statement = encode({ _type: 'https://in-toto.io/Statement/v0.1' })
  const image = await makeImage([await makeLayer('x')])
  const artifact = manifestOver(image.config, [['application/vnd.in-toto+json', statement]])
  const fake = await start({ api: '1.45', kind: 'containerd' })
  fake.json('GET /v1.45/images/app:v1/json', inspectOf(image, { Id: artifact.descriptor.digest }))
  const blobs = [Buffer.from(artifact.content), image.config, statement]
  fake.bytes(
    'GET /v1.45/images/app:v1/get',
    await containerdSave([artifact.descriptor], blobs, 'docker.io/library/app:v1'),
  )
  const { source, reference } = await open(fake.host)
  const sink = new MemorySink()
  expect(await source.transfer(reference, sink)).toEqual(artifact)
  expect(sink.blobs.has(digestOf(statement))).toBe(true)
})
