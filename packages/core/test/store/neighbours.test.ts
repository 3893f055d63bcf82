import { beforeEach, describe, expect, it } from 'vitest'
import { attachArtifact } from '../../src/operations/attach-artifact.ts'
import { clean } from '../../src/operations/clean.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { copySignatures, readSignatures } from '../../src/store/signature-records.ts'
import { readAll } from '../../src/stream/read-all.ts'
import { imageFixture, type MemoryBackend, putImage } from '../../src/testing/index.ts'
import { MemoryWorld } from '../support/memory-host.ts'

const HEX = 'a'.repeat(64)
const RECORD = '0123456789abcdef.json'

/** Images whose names are those of files and folders of `app:v1`, or of the bucket's own folders. */
const NEIGHBOURS: readonly (readonly [string, string])[] = [
  ['app/v1', 'signatures'],
  ['app/v1', RECORD],
  ['app/v1', 'history.json'],
  ['app/v1', 'manifest.json'],
  ['app/v1', 'config.json'],
  ['app/v1', 'blobs'],
  ['app/v1', 'latest'],
  ['app/v1', 'v1'],
  ['app/v1/signatures', 'latest'],
  ['app/v1/signatures', 'manifest.json'],
  ['app/v1/signatures', RECORD],
  ['app/v1/signatures', 'history.json'],
  ['app/v1/_manifests', 'v1'],
  ['app/v1/blobs/sha256', HEX],
  ['app/v1/manifest.json', 'v1'],
  ['app', 'v10'],
  ['app', 'v1.json'],
  ['app', 'signatures'],
  ['app2', 'v1'],
  ['signatures', 'v1'],
  ['latest', 'latest'],
  ['manifest.json', 'v1'],
  ['history.json', 'v1'],
  ['s3lo.yaml', 'v1'],
  ['blobs', 'v1'],
  ['blobs/sha256', HEX],
  ['manifests', 'v1'],
  ['manifests/app', 'v1'],
  ['chunks', 'v1'],
  ['.s3lo', 'gc'],
  ['.s3lo/gc/pins', 'v1'],
  [`.s3lo/repositories/app/_referrers/sha256-${HEX}`, `sha256-${HEX}.json`],
  ['.s3lo/soci/artifacts', `sha256-${HEX}.json`],
  ['_manifests', 'v1'],
]

const app = imageFixture({ layers: ['app'] })
const newer = imageFixture({ layers: ['app', 'newer'] })

let world: MemoryWorld
let bucket: MemoryBackend

async function snapshot(backend: MemoryBackend): Promise<Map<string, string>> {
  const contents = new Map<string, string>()
  for await (const { key, etag } of backend.list('')) {
    const { body } = await backend.get(key)
    contents.set(key, `${etag} ${Buffer.from(await readAll(body, 1e6, key)).toString('hex')}`)
  }
  return contents
}

/** The files of the neighbours. */
function keysOfNeighbours(contents: ReadonlyMap<string, string>): readonly string[] {
  const folders = NEIGHBOURS.flatMap(([image, tag]) => [`manifests/${image}/${tag}/`])
  const own = [...contents.keys()].filter((key) =>
    folders.some((folder) => {
      const rest = key.startsWith(folder) ? key.slice(folder.length) : undefined
      return rest !== undefined && (!rest.includes('/') || rest === `signatures/${RECORD}`)
    }),
  )
  return own.filter((key) => key !== `manifests/app/v1/signatures/${RECORD}`)
}

function put(backend: MemoryBackend, key: string, text: string): Promise<unknown> {
  return backend.put(key, new TextEncoder().encode(text))
}

async function fill(backend: MemoryBackend): Promise<void> {
  for (const [i, [name, tag]] of NEIGHBOURS.entries()) {
    const image = imageFixture({ layers: ['base', `layer ${i}`] })
    await putImage(backend, { name, tag }, image)
    const folder = `manifests/${name}/${tag}/`
    for (const file of ['history.json', 'config.json', 'index.json', 'oci-layout']) {
      await put(backend, folder + file, '[]')
    }
    await put(backend, `${folder}signatures/${RECORD}`, '{}')
  }
  await putImage(backend, { name: 'app', tag: 'v1' }, app)
  for (const file of ['history.json', 'config.json', `signatures/${RECORD}`]) {
    await put(backend, `manifests/app/v1/${file}`, '[]')
  }
}

beforeEach(async () => {
  world = new MemoryWorld()
  world.images['newer:v1'] = newer
  bucket = world.bucket('b')
  await fill(bucket)
})

/** Every operation that writes or deletes something of an image. */
const OPERATIONS: Readonly<Record<string, () => Promise<unknown>>> = {
  push: () => world.host.push('fix:newer:v1', 'mem://b/app:v1'),
  delete: () => world.host.delete('mem://b/app:v1'),
  'a forced delete': () => world.host.delete('mem://b/app:v1', { force: true }),
  'a copy onto it': () => world.host.copy('fix:newer:v1', 'mem://b/app:v1'),
  'a copy within the store': () => world.host.copy('mem://b/app:v1', 'mem://b/other:v1'),
  'signatures from another store': async () => {
    const other = world.bucket('c')
    await fill(other)
    await put(other, `manifests/app/v1/signatures/${RECORD}`, '{"changed":true}')
    await put(other, 'manifests/app/v1/signatures/manifest.json', 'another image')
    await copySignatures(other, bucket, { name: 'app', tag: 'v1' })
  },
  'a copy of all tags': () => world.host.copyTags('mem://b/app/v1', 'mem://b/copied'),
  'attaching a document': async () => {
    const store = new ImageStore(bucket)
    await attachArtifact(
      store,
      { repository: 'app', subject: app.root.descriptor },
      {
        mediaType: 'application/sbom',
        content: Buffer.from('x'),
      },
    )
    await store.close()
  },
  'config set': () => world.host.setConfig('mem://b/app', ['lifecycle.keep_last=1']),
  'clean by a rule for it': async () => {
    await put(
      bucket,
      's3lo.yaml',
      'images:\n  app:\n    lifecycle:\n      max_age: 1d\n      keep_tags: [v10, v1.json, signatures]\n',
    )
    const now = (): number => Date.now() + 40 * 86_400_000
    const result = await clean(new ImageStore(bucket), '', { confirm: true, graceMs: 0, now })
    expect(result).toMatchObject({ tags_deleted: 1, unreadable: [], failed: [] })
  },
  'clean of blobs': () =>
    clean(new ImageStore(bucket), '', { confirm: true, graceMs: 0, only: 'blobs' }),
}

describe('images that are named like what the store keeps', () => {
  it.each(Object.entries(OPERATIONS))('are left as they are by %s', async (_, operate) => {
    const before = await snapshot(bucket)
    const own = keysOfNeighbours(before)
    expect(own.length).toBeGreaterThanOrEqual(NEIGHBOURS.length * 6)
    await operate()
    const after = await snapshot(bucket)
    expect(own.filter((key) => after.get(key) !== before.get(key))).toEqual([])
    const report = await world.host.doctor('mem://b/', { probe: false })
    expect(report.manifest_issues ?? []).toEqual([])
  })

  it('are left by the deletion of every tag of an image', async () => {
    const before = await snapshot(bucket)
    await world.host.deleteAllTags('mem://b/app')
    const after = await snapshot(bucket)
    const own = keysOfNeighbours(before).filter(
      (key) => !/^manifests\/app\/[^/]+\/([^/]+|signatures\/0[^/]+)$/.test(key),
    )
    expect(own.filter((key) => after.get(key) !== before.get(key))).toEqual([])
  })

  it('are listed, counted and found under their own names, and no other names are', async () => {
    const images = await world.host.list('mem://b/')
    const names = images.flatMap(({ name, tags }) => tags.map((tag) => `${name}:${tag}`))
    const expected = [...NEIGHBOURS.map((name) => name.join(':')), 'app:v1']
    expect(names.toSorted()).toEqual(expected.toSorted())
    expect(await world.host.stats('mem://b/')).toMatchObject({ tags: expected.length })
    for (const [image, tag] of NEIGHBOURS) {
      const { digest } = await world.host.inspect(`mem://b/${image}:${tag}`)
      expect(await world.host.inspect(`mem://b/${image}@${digest}`)).toMatchObject({ digest })
    }
  })

  it('are no signatures', async () => {
    await world.host.delete('mem://b/app/v1/signatures:manifest.json')
    const records = await readSignatures(bucket, { name: 'app', tag: 'v1' })
    expect(records).toEqual([])
  })

  it('are not found under the name of the folder that they are in', async () => {
    await world.host.delete('mem://b/manifests/app:v1')
    await expect(world.host.inspect('mem://b/manifests/app:v1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await expect(world.host.delete('mem://b/manifests/app:v1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await world.host.inspect('mem://b/app:v1')).toMatchObject({
      digest: app.root.descriptor.digest,
    })
  })
})
