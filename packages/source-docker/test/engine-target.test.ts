import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import {
  digestOf,
  type ManifestDocument,
  MEDIA_TYPE,
  S3loError,
  type StreamingTarget,
} from '@s3lo/core'
import { afterEach, describe, expect, it } from 'vitest'
import { openTarget } from '../src/docker-daemon.ts'
import { EngineTarget } from '../src/engine/engine-target.ts'
import { Engine } from '../src/engine/engine.ts'
import { StreamReader } from '../src/tar/byte-reader.ts'
import { readTar } from '../src/tar/tar-reader.ts'
import { FakeEngine, readBody } from './fake-engine.ts'
import {
  hexOf,
  makeImage,
  makeLayer,
  makeMultiPlatform,
  manifestOver,
  type TestImage,
} from './images.ts'
import { MemorySink } from './memory-sink.ts'
import { codeOf } from './code-of.ts'

let engine: FakeEngine | undefined
afterEach(async () => {
  await engine?.stop()
  engine = undefined
})

type Options = NonNullable<Parameters<typeof FakeEngine.start>[0]>

/** An engine that keeps the body of a load, answers as told, and then has the image. */
async function start(id: string, answer: string, options: Options = {}) {
  const { api = '1.45' } = options
  const fake = await FakeEngine.start(options)
  engine = fake
  const bodies: Buffer[] = []
  fake.on(`POST /v${api}/images/load`, async (request, response) => {
    bodies.push(await readBody(request))
    response.end(answer)
  })
  fake.json(`GET /v${api}/images/docker.io/library/app:v1/json`, { Id: id })
  return { fake, bodies }
}

const loaded = `${JSON.stringify({ stream: 'Loaded image: app:v1\n' })}\r\n`

async function receive(
  host: string,
  document: ManifestDocument,
  from: MemorySink,
  signal?: AbortSignal,
): Promise<void> {
  const { target, reference } = await openTarget('app:v1', { env: { DOCKER_HOST: host } })
  try {
    await (target as StreamingTarget).receive(document, from, reference, { signal })
  } finally {
    await target.close?.()
  }
}

async function namesIn(tar: Uint8Array = new Uint8Array()): Promise<readonly string[]> {
  const reader = new StreamReader(Readable.from([tar]) as AsyncIterable<Buffer>, 'body')
  const names: string[] = []
  for await (const { name } of readTar(reader, 'body')) names.push(name)
  return names
}

async function twoLayers(): Promise<TestImage> {
  return makeImage([await makeLayer('one', 300_000), await makeLayer('two')])
}

const sinkOf = ({ config, layers }: TestImage): MemorySink =>
  new MemorySink(config, ...layers.map(({ plain }) => plain))

describe('a load', () => {
  it('gives a graph driver a docker archive', async () => {
    const image = await twoLayers()
    const { fake, bodies } = await start(image.configDigest, loaded)
    await receive(fake.host, image.document, sinkOf(image))
    expect(await namesIn(bodies[0])).toEqual([
      'manifest.json',
      `${hexOf(image.configDigest)}.json`,
      ...image.layers.map(({ diffId }) => `${hexOf(diffId)}/layer.tar`),
    ])
    expect(bodies[0]?.includes('"RepoTags":["docker.io/library/app:v1"]')).toBe(true)
    expect(fake.requests.some((request) => request.includes('quiet=1'))).toBe(true)
  })

  it('gives a containerd store an OCI archive, an index included', async () => {
    const multi = await makeMultiPlatform()
    const { fake, bodies } = await start(multi.index.descriptor.digest, loaded, {
      kind: 'containerd',
    })
    await receive(fake.host, multi.index, new MemorySink(...multi.blobs))
    const blobs = multi.blobs.map((blob) => `blobs/sha256/${hexOf(digestOf(blob))}`)
    expect((await namesIn(bodies[0])).toSorted()).toEqual(
      ['index.json', 'oci-layout', ...blobs].toSorted(),
    )
    expect(bodies[0]?.includes('"io.containerd.image.name":"docker.io/library/app:v1"')).toBe(true)
  })

  it.each([
    ['1.41', 'graphdriver', false],
    ['1.42', 'graphdriver', true],
    ['1.41', 'podman', true],
  ] as const)(
    'leaves zstd layers to engines that read them: API %s, %s',
    async (api, kind, keeps) => {
      const layer = await makeLayer('z')
      const image = await makeImage([layer])
      const document = manifestOver(image.config, [[MEDIA_TYPE.ociLayerZstd, layer.zstd]])
      const { fake, bodies } = await start(image.configDigest, loaded, { api, kind })
      await receive(fake.host, document, new MemorySink(image.config, layer.zstd))
      expect(bodies[0]?.includes(layer.zstd)).toBe(keeps)
      expect(bodies[0]?.includes(layer.plain)).toBe(!keeps)
    },
  )

  it('writes a repeated layer once', async () => {
    const layer = await makeLayer('same')
    const image = await makeImage([layer, layer, layer])
    const { fake, bodies } = await start(image.configDigest, loaded)
    await receive(fake.host, image.document, sinkOf(image))
    expect(await namesIn(bodies[0])).toHaveLength(3)
  })

  it('accepts an index only for a containerd store', async () => {
    for (const kind of ['graphdriver', 'containerd', 'podman'] as const) {
      const { fake } = await start('', '', { kind })
      const { target } = await openTarget('app:v1', { env: { DOCKER_HOST: fake.host } })
      expect(await (target as StreamingTarget).acceptsIndex()).toBe(kind === 'containerd')
      await target.close?.()
      await fake.stop()
    }
  })

  it.each([
    [
      'an error in the answer',
      JSON.stringify({ error: 'bad tar', errorDetail: { message: 'bad tar' } }),
      'UNAVAILABLE',
    ],
    [
      'only a detail',
      `${loaded}${JSON.stringify({ errorDetail: { message: 'bad tar' } })}`,
      'UNAVAILABLE',
    ],
    ['a full disk', JSON.stringify({ error: 'write /x: no space left on device' }), 'IO'],
    ['an answer that is no JSON', '<html>gateway timeout</html>', 'UNAVAILABLE'],
    ['an answer without an end', 'x'.repeat(2 * 1024 * 1024), 'UNAVAILABLE'],
  ])('fails on %s, though the status is 200', async (_, answer, code) => {
    const image = await twoLayers()
    const { fake } = await start(image.configDigest, answer)
    expect(await codeOf(receive(fake.host, image.document, sinkOf(image)))).toBe(code)
  })

  it('fails when the tag is not the image afterwards', async () => {
    const image = await twoLayers()
    const { fake } = await start(`sha256:${'0'.repeat(64)}`, loaded)
    expect(await codeOf(receive(fake.host, image.document, sinkOf(image)))).toBe('INTEGRITY')
  })

  it('reports the failure of the source, and lets the engine see a broken body', async () => {
    const image = await twoLayers()
    const { fake } = await start(image.configDigest, loaded)
    const broken = new Promise<void>((resolve) => {
      fake.on('POST /v1.45/images/load', (request) => {
        request
          .resume()
          .once('close', () => expect(request.complete).toBe(false))
          .once('close', resolve)
        request.on('error', () => {})
      })
    })
    const from = sinkOf(image)
    const failure = new S3loError('UNAUTHORIZED', 'the store has had enough')
    const fetch = from.fetch.bind(from)
    from.fetch = async (descriptor) => {
      if (descriptor.digest === image.layers[1]?.diffId) throw failure
      return fetch(descriptor)
    }
    await expect(receive(fake.host, image.document, from)).rejects.toBe(failure)
    await broken
  })

  it('ends at once when it is aborted', async () => {
    const image = await twoLayers()
    const { fake } = await start(image.configDigest, loaded)
    const abort = new AbortController()
    const reason = new Error('enough')
    fake.on('POST /v1.45/images/load', (request) => {
      request.on('error', () => {})
      request.once('data', () => abort.abort(reason))
    })
    await expect(receive(fake.host, image.document, sinkOf(image), abort.signal)).rejects.toBe(
      reason,
    )
  })

  it('gives the words of an engine that answers before it has heard us out', async () => {
    const image = await makeImage([await makeLayer('big', 4_000_000)])
    const { fake } = await start(image.configDigest, loaded)
    fake.on('POST /v1.45/images/load', (request, response) => {
      request.once('data', () =>
        response.writeHead(500).end(JSON.stringify({ message: 'bad header' })),
      )
      request.on('error', () => {})
    })
    const load = receive(fake.host, image.document, sinkOf(image))
    await expect(load).rejects.toThrow('bad header')
  })

  it('is unavailable when the engine goes away', async () => {
    const image = await makeImage([await makeLayer('big', 4_000_000)])
    const { fake } = await start(image.configDigest, loaded)
    fake.on('POST /v1.45/images/load', (request) => {
      request.on('error', () => {})
      request.once('data', () => request.socket.destroy())
    })
    expect(await codeOf(receive(fake.host, image.document, sinkOf(image)))).toBe('UNAVAILABLE')
  })

  it('needs a tag to load under', async () => {
    const text = `app@sha256:${'0'.repeat(64)}`
    expect(await codeOf(openTarget(text, { env: {} }))).toBe('USAGE')
  })
})

describe('a silence', () => {
  const timeouts = { connectMs: 1000, idleMs: 50, transferIdleMs: 50 }

  it('of the engine ends the exchange', async () => {
    const image = await twoLayers()
    const { fake } = await start(image.configDigest, loaded)
    fake.on('POST /v1.45/images/load', (request: IncomingMessage) => {
      request.resume().on('error', () => {})
    })
    const address = { kind: 'socket', text: fake.host, path: fake.host.slice(7) } as const
    const target = new EngineTarget(new Engine(address, timeouts))
    const reference = { name: 'app', tag: 'v1' }
    expect(await codeOf(target.receive(image.document, sinkOf(image), reference))).toBe(
      'UNAVAILABLE',
    )
    await target.close()
  })

  it('of a reader that is slow does not', async () => {
    const fake = await FakeEngine.start()
    engine = fake
    const content = Buffer.alloc(8_000_000)
    const silence = new Promise<void>((resolve) => {
      fake.on('GET /v1.45/images/app:v1/get', (_request, response: ServerResponse) => {
        response.setTimeout(3 * timeouts.idleMs, resolve).end(content)
      })
    })
    const address = { kind: 'socket', text: fake.host, path: fake.host.slice(7) } as const
    const client = new Engine(address, timeouts)
    let received = 0
    for await (const chunk of await client.save({ name: 'app', tag: 'v1' }, undefined)) {
      // The reader takes longer for its first piece than the engine may be silent.
      if (received === 0) await silence
      received += chunk.length
    }
    client.close()
    expect(received).toBe(content.length)
  })
})
