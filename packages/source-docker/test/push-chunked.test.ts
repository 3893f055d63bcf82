import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createHost,
  decompress,
  definePlugin,
  digestOf,
  type Host,
  ImageStore,
  MEDIA_TYPE,
  type PushResult,
} from '@s3lo/core'
import { MemoryBackend } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSource as openArchive } from '../src/docker-archive.ts'
import { openSource as openEngine } from '../src/docker-daemon.ts'
import { FakeEngine } from './fake-engine.ts'
import {
  legacySave,
  makeImage,
  makeLayer,
  overlaySave,
  podmanSave,
  type TestImage,
} from './images.ts'

const MIB = 1024 * 1024

let folder: string
let bucket: MemoryBackend
let engine: FakeEngine | undefined
let image: TestImage
let host: Host

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-push-'))
  bucket = new MemoryBackend()
  await bucket.put('s3lo.yaml', Buffer.from('chunked: true\n'))
  const large = await makeLayer('large', 2 * MIB)
  image = await makeImage([large, await makeLayer('small'), large])
  host = createHost({
    plugins: [
      definePlugin({
        name: 'test',
        apiVersion: 1,
        backends: {
          mem: {
            summary: 'memory',
            load: () => Promise.resolve({ openBackend: () => Promise.resolve(bucket) }),
          },
        },
        sources: {
          engine: {
            summary: 'a fake engine',
            load: () =>
              Promise.resolve({
                openSource: (text) =>
                  openEngine(text, { env: { DOCKER_HOST: engine?.host ?? '' } }),
              }),
          },
          archive: {
            summary: 'a docker archive',
            load: () => Promise.resolve({ openSource: openArchive }),
          },
        },
      }),
    ],
  })
})

afterEach(async () => {
  await engine?.stop()
  engine = undefined
  await rm(folder, { recursive: true })
})

/** What the layers of a tag decompress to, by digest. */
async function contentOf(tag: string): Promise<readonly string[]> {
  const store = new ImageStore(bucket)
  const { manifest } = await store.read({ name: 'app', tag })
  if (manifest.kind !== 'manifest') return []
  expect(manifest.config.digest).toBe(image.configDigest)
  const digests: string[] = []
  for (const layer of manifest.layers) {
    expect(layer.mediaType).toBe(MEDIA_TYPE.ociLayerZstd)
    const content = decompress(await store.fetch(layer), 'zstd', layer.digest)
    digests.push(digestOf(Buffer.concat(await Array.fromAsync(content))))
  }
  return digests
}

const diffIds = (): readonly string[] => image.layers.map(({ diffId }) => diffId)

async function startEngine(save: typeof overlaySave, api: string, kind: 'graphdriver' | 'podman') {
  engine = await FakeEngine.start({ api, kind })
  const RootFS = { Type: 'layers', Layers: diffIds() }
  const inspected = { Id: image.configDigest, Os: 'linux', Architecture: 'amd64', RootFS }
  engine.json(`GET /v${api}/images/app:v1/json`, inspected)
  engine.bytes(`GET /v${api}/images/app:v1/get`, await save(image, 'app:v1'))
  return engine
}

describe('a push with chunked layers', () => {
  it.each([
    ['docker before 25', legacySave, '1.41', 'graphdriver'],
    ['docker since 25', overlaySave, '1.45', 'graphdriver'],
    ['podman', podmanSave, '1.41', 'podman'],
  ] as const)('from %s keeps the image, and reads an unchanged one no more', async (...given) => {
    const [, save, api, kind] = given
    const fake = await startEngine(save, api, kind)
    const push = (tag: string): Promise<PushResult> =>
      host.push('engine:app:v1', `mem://b/app:${tag}`)
    const first = await push('v1')
    expect(first).toMatchObject({ chunks: 1, chunks_uploaded: 1 })
    expect(await contentOf('v1')).toEqual(diffIds())
    fake.requests.length = 0
    const again = await push('v1')
    expect(again).toMatchObject({ digest: first.digest, blobs_uploaded: 0, bytes_uploaded: 0 })
    expect(fake.requests.filter((request) => request.includes('/get'))).toEqual([])
    // Under a new tag the layers of the other one are known.
    expect(await push('v2')).toMatchObject({ digest: first.digest, bytes_uploaded: 0 })
  })

  it.each([
    ['docker before 25', legacySave, '1.41', 'graphdriver'],
    ['docker since 25', overlaySave, '1.45', 'graphdriver'],
    ['podman', podmanSave, '1.41', 'podman'],
  ] as const)('from %s sends what a dry run foretells', async (_, save, api, kind) => {
    await startEngine(save, api, kind)
    for (const setting of ['chunked: true\n', 'chunked: false\n']) {
      await bucket.put('s3lo.yaml', Buffer.from(setting))
      for (const tag of ['v1', 'v2', 'v1']) {
        const to = `mem://b/${setting.includes('true') ? 'app' : 'whole'}:${tag}`
        const stored = async (): Promise<readonly string[]> =>
          (await Array.fromAsync(bucket.list(''))).map(({ key, etag }) => `${key} ${etag}`)
        const before = await stored()
        const {
          dry_run: _dryRun,
          blobs,
          ...planned
        } = await host.push('engine:app:v1', to, {
          dryRun: true,
        })
        expect(await stored()).toEqual(before)
        expect(blobs).toHaveLength(3)
        expect(await host.push('engine:app:v1', to)).toEqual(planned)
      }
    }
  })

  it('from an archive gives the same manifest as from an engine', async () => {
    await startEngine(overlaySave, '1.45', 'graphdriver')
    const { digest } = await host.push('engine:app:v1', 'mem://b/app:v1')
    bucket = new MemoryBackend()
    await bucket.put('s3lo.yaml', Buffer.from('chunked: true\n'))
    const path = join(folder, 'app.tar')
    await writeFile(path, await overlaySave(image, 'app:v1'))
    expect(await host.push(`archive:${path}`, 'mem://b/app:v1')).toMatchObject({ digest })
    expect(await contentOf('v1')).toEqual(diffIds())
  })
})
