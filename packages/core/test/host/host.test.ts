import { beforeEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { readAll } from '../../src/stream/read-all.ts'
import {
  attachReferrer,
  FaultyBackend,
  imageFixture,
  indexFixture,
  type MemoryBackend,
  putImage,
  referrerFixture,
} from '../../src/testing/index.ts'
import type { HistoryOptions } from '../../src/operations/history.ts'
import type { TagHistory } from '../../src/operations/past-tags.ts'
import { deleteAllTags } from '../../src/operations/delete-tag.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { MemoryWorld } from '../support/memory-host.ts'
import { Readable } from 'node:stream'

const amd64 = imageFixture({ layers: ['base', 'amd'], platform: 'linux/amd64' })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const both = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 }, { attestations: true })

let world: MemoryWorld
let bucket: MemoryBackend

beforeEach(() => {
  world = new MemoryWorld()
  bucket = world.bucket('b')
  Object.assign(world.images, { 'app:v1': amd64, 'multi:v1': both })
})

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

async function read(backend: MemoryBackend, key: string): Promise<string> {
  const { body } = await backend.get(key)
  return Buffer.from(await readAll(body, 1e6, key)).toString()
}

async function keys(backend: MemoryBackend, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(backend.list(prefix))).map(({ key }) => key)
}

/** Layers are stored as they are, so that an image has the digest that its source has. */
async function wholeLayers(): Promise<void> {
  await bucket.put('s3lo.yaml', encode('chunked: false\n'))
}

async function immutable(pattern = 'app'): Promise<void> {
  await bucket.put('s3lo.yaml', encode(`images:\n  "${pattern}":\n    immutable: true\n`))
}

describe('push', () => {
  it('writes layout v1.1.0 and the record of the digest, and nothing else', async () => {
    await wholeLayers()
    const result = await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const size = [...amd64.content.values()].reduce((sum, { byteLength }) => sum + byteLength, 0)
    expect(result).toEqual({
      ref: 'mem://b/app:v1',
      digest: amd64.root.descriptor.digest,
      bytes: size,
      chunks: 0,
      chunks_uploaded: 0,
      bytes_uploaded: size,
      blobs_uploaded: 3,
      blobs_skipped: 0,
    })
    expect(await keys(bucket)).toEqual(
      [
        `.s3lo/repositories/app/_manifests/sha256-${result.digest.slice(7)}.json`,
        ...[...amd64.content.keys()].map((digest) => `blobs/sha256/${digest.slice(7)}`),
        'manifests/app/v1/history.json',
        'manifests/app/v1/manifest.json',
        's3lo.yaml',
      ].toSorted(),
    )
    expect(JSON.parse(await read(bucket, 'manifests/app/v1/history.json'))).toMatchObject([
      { digest: result.digest, size_bytes: size },
    ])
  })

  it('takes one platform of several and names the rest', async () => {
    await wholeLayers()
    const notices: string[] = []
    const options = {
      platform: undefined,
      onProgress: (event: { type: string; message?: string }) => {
        if (event.type === 'notice') notices.push(event.message!)
      },
    }
    world.images['multi:v1'] = indexFixture({
      'linux/amd64': amd64,
      'linux/arm64': arm64,
      'linux/s390x': imageFixture({ layers: ['z'], platform: 'linux/s390x' }),
    })
    const { digest } = await world.host.push('fix:multi:v1', 'mem://b/m:v1', options)
    expect([amd64.root.descriptor.digest, arm64.root.descriptor.digest]).toContain(digest)
    expect(notices.join()).toContain('linux/s390x')
  })

  it('publishes the index with its attestations when asked for all platforms', async () => {
    const { digest } = await world.host.push('fix:multi:v1', 'mem://b/m:v1', { allPlatforms: true })
    expect(digest).toBe(both.root.descriptor.digest)
    expect(await read(bucket, 'manifests/m/v1/manifest.json')).toBe(
      Buffer.from(both.root.content).toString(),
    )
  })

  it('refuses to change an immutable tag, before it reads a single blob', async () => {
    await immutable()
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const before = await keys(bucket)
    world.images['app:v1'] = arm64
    await expect(world.host.push('fix:app:v1', 'mem://b/app:v1')).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('immutable'),
    })
    expect(await keys(bucket)).toEqual(before)
    await world.host.push('fix:app:v1', 'mem://b/app:v2')
  })

  it('overwrites it when forced, and records that', async () => {
    await immutable()
    await world.host.push('fix:app:v1', 'mem://b/app:v1', { force: true })
    await world.host.push('fix:app:v1', 'mem://b/app:v1', { force: true })
    const history = JSON.parse(await read(bucket, 'manifests/app/v1/history.json')) as object[]
    expect(history.map((entry) => 'forced' in entry)).toEqual([true, false])
  })

  it.each(['mem://b/app@sha256:' + 'a'.repeat(64)])('refuses to push to %s', async (to) => {
    await expect(world.host.push('fix:app:v1', to)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it.each(['mem://b/app', 'mem://b/app:', 'mem://b/../x:v1', 'mem:///x:v1', 'app:v1'])(
    'refuses the destination %s',
    async (to) => {
      await expect(world.host.push('fix:app:v1', to)).rejects.toMatchObject({
        code: 'INVALID_REFERENCE',
      })
    },
  )

  it('stores a config of more than 1 MiB like any blob, and it can be read back', async () => {
    await wholeLayers()
    world.images['fat:v1'] = imageFixture({ layers: ['l'], label: 'x'.repeat(2 ** 21) })
    await world.host.push('fix:fat:v1', 'mem://b/fat:v1')
    await world.host.copy('mem://b/fat:v1', 'mem://c/fat:v1')
    const { digest } = await world.host.inspect('mem://c/fat:v1')
    expect(digest).toBe(world.images['fat:v1'].root.descriptor.digest)
  })

  it('stops at a broken s3lo.yaml rather than guess what is immutable', async () => {
    await bucket.put('s3lo.yaml', encode('default: [\n'))
    await expect(world.host.push('fix:app:v1', 'mem://b/app:v1')).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  it('finishes when the tag exists already with other content', async () => {
    await wholeLayers()
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    world.images['app:v1'] = arm64
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    expect((await world.host.inspect('mem://b/app:v1')).digest).toBe(arm64.root.descriptor.digest)
  })
})

describe('copy', () => {
  beforeEach(async () => {
    await putImage(bucket, { name: 'multi', tag: 'v1' }, both)
    await putImage(bucket, { name: 'app', tag: 'v1' }, amd64)
  })

  it('copies everything by default, attestations included, byte for byte', async () => {
    const result = await world.host.copy('mem://b/multi:v1', 'mem://c/team/app:v2')
    expect(result).toMatchObject({
      digest: both.root.descriptor.digest,
      platforms: 2,
      attestations: 2,
      blobs_skipped: 0,
      signatures_dropped: 0,
    })
    for (const [digest, content] of both.content) {
      expect(await read(world.bucket('c'), `blobs/sha256/${digest.slice(7)}`)).toBe(
        Buffer.from(content).toString(),
      )
    }
  })

  it('copies one platform as its own manifest, without a history of the source', async () => {
    await bucket.put('manifests/multi/v1/history.json', encode('[]'))
    await world.host.copy('mem://b/multi:v1', 'mem://c/app:v1', { platforms: ['linux/arm64'] })
    const copy = world.bucket('c')
    expect(digestOf(encode(await read(copy, 'manifests/app/v1/manifest.json')))).toBe(
      arm64.root.descriptor.digest,
    )
    expect(JSON.parse(await read(copy, 'manifests/app/v1/history.json'))).toHaveLength(1)
  })

  it('copies nothing the second time', async () => {
    await world.host.copy('mem://b/multi:v1', 'mem://c/app:v1')
    const again = await world.host.copy('mem://b/multi:v1', 'mem://c/app:v1')
    expect(again).toMatchObject({ blobs_copied: 0, bytes_copied: 0 })
  })

  it('onto itself changes nothing but the history', async () => {
    const record = '{"keyRef":"k","keyID":"0123456789abcdef","signedAt":"2026-01-01T00:00:00Z"}'
    await bucket.put('manifests/app/v1/signatures/0123456789abcdef.json', encode(record))
    const before = await read(bucket, 'manifests/app/v1/manifest.json')
    await world.host.copy('mem://b/app:v1', 'mem://b/app:v1')
    expect(await read(bucket, 'manifests/app/v1/manifest.json')).toBe(before)
    expect(await read(bucket, 'manifests/app/v1/signatures/0123456789abcdef.json')).toBe(record)
  })

  it('does not take a nested image for a part of the tag', async () => {
    await putImage(bucket, { name: 'team', tag: 'app' }, amd64)
    await putImage(bucket, { name: 'team/app', tag: 'v9' }, arm64)
    await world.host.copy('mem://b/team:app', 'mem://c/team:app')
    expect(await world.host.list('mem://c')).toEqual([{ name: 'team', tags: ['app'] }])
  })

  it('leaves stale files of other versions behind', async () => {
    for (const file of ['config.json', 'index.json', 'oci-layout', 'history.json']) {
      await bucket.put(`manifests/app/v1/${file}`, encode('[]'))
    }
    await world.host.copy('mem://b/app:v1', 'mem://c/app:v1')
    expect(await keys(world.bucket('c'), 'manifests/')).toEqual([
      'manifests/app/v1/history.json',
      'manifests/app/v1/manifest.json',
    ])
  })

  it('counts signature records that stay behind, of single images too', async () => {
    await bucket.put('manifests/app/v1/signatures/0123456789abcdef.json', encode('{}'))
    expect(await world.host.copy('mem://b/app:v1', 'mem://b/app:v2')).toMatchObject({
      signatures_dropped: 1,
    })
  })

  it('counts signature records as dropped when the image is narrowed in its own place', async () => {
    await bucket.put('manifests/multi/v1/signatures/0123456789abcdef.json', encode('{}'))
    const narrowed = world.host.copy('mem://b/multi:v1', 'mem://b/multi:v1', {
      platforms: ['linux/arm64'],
    })
    expect(await narrowed).toMatchObject({ signatures_dropped: 1 })
  })

  it('brings what refers to the image or to one of its manifests, unless told not to', async () => {
    const store = new ImageStore(bucket)
    for (const subject of [both.root.descriptor, amd64.root.descriptor]) {
      const sbom = referrerFixture(subject, 'application/spdx+json', 'sbom')
      await attachReferrer(store, sbom.root, { repository: 'multi', subject }, (blob) =>
        Promise.resolve(Readable.from([sbom.content.get(blob.digest)!])),
      )
    }
    const result = await world.host.copy('mem://b/multi:v1', 'mem://c/app:v1')
    expect(result.referrers_copied).toBe(2)
    const { attachments } = await world.host.inspect('mem://c/app:v1')
    expect(attachments).toMatchObject([{ artifact_type: 'application/spdx+json' }])
    const without = await world.host.copy('mem://b/multi:v1', 'mem://d/app:v1', {
      referrers: 'none',
    })
    expect(without.referrers_copied).toBe(0)
  })

  it('names the platform and the digest of a layer that is missing, and leaves no tag', async () => {
    const missing = digestOf(encode('arm'))
    await bucket.delete([`blobs/sha256/${missing.slice(7)}`])
    await expect(world.host.copy('mem://b/multi:v1', 'mem://c/app:v1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(`linux/arm64.*${missing}`),
    })
    expect(await keys(world.bucket('c'), 'manifests/')).toEqual([])
  })

  it('fails on the existence check rather than take a failure for an absence', async () => {
    const target = world.bucket('c')
    target.head = () => Promise.reject(new Error('403'))
    await expect(world.host.copy('mem://b/app:v1', 'mem://c/app:v1')).rejects.toThrow('403')
  })

  it('respects an immutable tag of the destination, and force', async () => {
    await immutable()
    await expect(world.host.copy('mem://b/multi:v1', 'mem://b/app:v1')).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    await world.host.copy('mem://b/multi:v1', 'mem://b/app:v1', { force: true })
  })

  it('needs a plugin for a registry', async () => {
    await expect(world.host.copy('alpine:3', 'mem://b/a:v1')).rejects.toMatchObject({
      code: 'PLUGIN_NOT_INSTALLED',
    })
  })
})

describe('list', () => {
  it('lists names and tags by bytes, of both layouts', async () => {
    for (const [name, tag] of [
      ['app', 'v10'],
      ['app', 'v2'],
      ['app/sub', 'v1'],
      ['app2', 'v1'],
      ['team/app', 'v1'],
    ] as const) {
      await putImage(bucket, { name, tag }, amd64)
    }
    await bucket.put('old/v1/manifest.json', amd64.root.content)
    await bucket.put('app/v0/manifest.json', amd64.root.content)
    await bucket.put('chunks/sha256/x/manifest.json', encode('no image'))
    expect(await world.host.list('mem://b/')).toEqual([
      { name: 'app', tags: ['v0', 'v10', 'v2'] },
      { name: 'app/sub', tags: ['v1'] },
      { name: 'app2', tags: ['v1'] },
      { name: 'old', tags: ['v1'] },
      { name: 'team/app', tags: ['v1'] },
    ])
  })

  it.each([
    ['mem://b/app', ['app', 'app/sub']],
    ['mem://b/app/', ['app', 'app/sub']],
    ['mem://b/team', ['team/app']],
    ['mem://b/team/app', ['team/app']],
    ['mem://b/ap', []],
    ['mem://b/app:v1', []],
  ])('filters %s', async (reference, names) => {
    for (const name of ['app', 'app/sub', 'app2', 'team/app']) {
      await putImage(bucket, { name, tag: 'v1' }, amd64)
    }
    const images = await world.host.list(reference)
    expect(images.map(({ name }) => name)).toEqual(names)
  })

  it('looks only below the name that it is asked for, in both layouts', async () => {
    await bucket.put('team/app/v1/manifest.json', amd64.root.content)
    await bucket.put('team2/app/v1/manifest.json', amd64.root.content)
    await bucket.put('chunks/sha256/x/manifest.json', encode('no image'))
    const looked: string[] = []
    const whole = bucket.list.bind(bucket)
    bucket.list = (prefix, options) => {
      looked.push(prefix)
      return whole(prefix, options)
    }
    expect(await world.host.list('mem://b/team')).toEqual([{ name: 'team/app', tags: ['v1'] }])
    expect(await world.host.list('mem://b/chunks')).toEqual([])
    expect(looked).toEqual(['manifests/team/', 'team/', 'manifests/chunks/'])
  })

  it('gives an empty list for an empty store', async () => {
    expect(await world.host.list('mem://b')).toEqual([])
  })
})

describe('inspect', () => {
  it('describes a single image', async () => {
    await putImage(bucket, { name: 'app', tag: 'v1' }, amd64)
    const record = '{"keyRef":"k.pub","keyID":"0123456789abcdef","signedAt":"2026-01-01T00:00:00Z"}'
    await bucket.put('manifests/app/v1/signatures/0123456789abcdef.json', encode(record))
    await bucket.put('manifests/app/v1/signatures/00000000000000aa.json', encode('{'))
    await bucket.put(
      'manifests/app/v1/signatures/00000000000000bb.json',
      new Uint8Array(300 * 1024),
    )
    expect(await world.host.inspect('mem://b/app:v1')).toEqual({
      reference: 'mem://b/app:v1',
      digest: amd64.root.descriptor.digest,
      media_type: amd64.root.descriptor.mediaType,
      is_index: false,
      layers: [
        expect.objectContaining({ digest: digestOf(encode('base')), size: 4 }),
        expect.objectContaining({ digest: digestOf(encode('amd')), size: 3 }),
      ],
      total_size: 7,
      config: { labels: { label: '' } },
      signatures: [
        { key_ref: 'k.pub', key_id: '0123456789abcdef', signed_at: '2026-01-01T00:00:00Z' },
      ],
    })
  })

  it('keeps every entry of an index in order and says what an attestation is about', async () => {
    await putImage(bucket, { name: 'm', tag: 'v1' }, both)
    const { platforms, is_index: isIndex } = await world.host.inspect('mem://b/m:v1')
    expect(isIndex).toBe(true)
    expect(platforms?.map(({ platform }) => platform)).toEqual([
      'linux/amd64',
      'linux/arm64',
      '(attestation)',
      '(attestation)',
    ])
    expect(platforms?.[2]?.attestation_for).toBe(amd64.root.descriptor.digest)
  })

  it('says that a layer is stored in chunks', async () => {
    const digest = digestOf(encode('chunked'))
    const manifest = JSON.parse(Buffer.from(amd64.root.content).toString()) as {
      layers: object[]
    }
    manifest.layers = [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd', digest, size: 7 },
    ]
    await bucket.put('manifests/app/v1/manifest.json', encode(JSON.stringify(manifest)))
    await bucket.put(`recipes/sha256/${digest.slice(7)}`, encode('{}'))
    const { layers } = await world.host.inspect('mem://b/app:v1')
    expect(layers).toMatchObject([{ digest, stored_as: 'chunks' }])
  })

  it.each([
    '{"schemaVersion":2}',
    '{"schemaVersion":2,"config":{"digest":"","size":1},"layers":[]}',
    '{"schemaVersion":2,"config":{"digest":"abc","size":1},"layers":[]}',
    'not json',
    '[]',
  ])('refuses the manifest %s with one clear error', async (content) => {
    await bucket.put('manifests/app/v1/manifest.json', encode(content))
    await expect(world.host.inspect('mem://b/app:v1')).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await world.host.list('mem://b')).toHaveLength(1)
  })

  it('says NOT_FOUND for what is not there', async () => {
    await expect(world.host.inspect('mem://b/none:v1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('delete', () => {
  it('removes the tag and its own files, and never a nested image', async () => {
    await putImage(bucket, { name: 'team', tag: 'app' }, amd64)
    await putImage(bucket, { name: 'team/app', tag: 'v1' }, arm64)
    for (const file of ['config.json', 'history.json', 'signatures/0123456789abcdef.json']) {
      await bucket.put(`manifests/team/app/${file}`, encode('{}'))
    }
    expect(await world.host.delete('mem://b/team:app')).toEqual({
      ref: 'mem://b/team:app',
      deleted: true,
      digest: amd64.root.descriptor.digest,
      kept_until: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    expect(await keys(bucket, 'manifests/')).toEqual(['manifests/team/app/v1/manifest.json'])
    expect(await keys(bucket, 'blobs/')).toHaveLength(5)
  })

  it('refuses what is not there and what is immutable, by its digest too', async () => {
    await expect(world.host.delete('mem://b/app:v1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await putImage(bucket, { name: 'app', tag: 'v1' }, amd64)
    await immutable()
    await expect(world.host.delete('mem://b/app:v1')).rejects.toMatchObject({ code: 'CONFLICT' })
    const digest = `mem://b/app@${amd64.root.descriptor.digest}`
    await expect(world.host.delete(digest)).rejects.toMatchObject({ code: 'CONFLICT' })
    await world.host.delete('mem://b/app:v1', { force: true })
  })

  it('removes every tag of one image, and of no other', async () => {
    for (const tag of ['v1', 'v2']) await putImage(bucket, { name: 'app', tag }, amd64)
    await putImage(bucket, { name: 'app/sub', tag: 'v1' }, amd64)
    const deleted = await world.host.deleteAllTags('mem://b/app')
    expect(deleted.map(({ ref }) => ref)).toEqual(['mem://b/app:v1', 'mem://b/app:v2'])
    expect(await world.host.list('mem://b')).toEqual([{ name: 'app/sub', tags: ['v1'] }])
    await expect(world.host.deleteAllTags('mem://b/app')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('continues with the next tag when another process removed one meanwhile', async () => {
    for (const tag of ['v1', 'v2', 'v3']) await putImage(bucket, { name: 'app', tag }, amd64)
    // The listing still has v2; when its turn comes, it is not there any more.
    const faulty = new FaultyBackend(bucket, {
      after: async ({ method, key }) => {
        if (method !== 'list' || key !== 'manifests/app/') return
        await bucket.delete(['manifests/app/v2/manifest.json'])
      },
    })
    const told: string[] = []
    const reference = { scheme: 'mem', bucket: 'b', name: 'app', image: 'app' }
    const deleted = await deleteAllTags(new ImageStore(faulty), reference, {
      onDeleted: ({ ref }) => told.push(ref),
    })
    expect(deleted.map(({ ref }) => ref)).toEqual(['mem://b/app:v1', 'mem://b/app:v3'])
    expect(told).toEqual(['mem://b/app:v1', 'mem://b/app:v3'])
  })
})

describe('history', () => {
  async function historyOf(
    image: string,
    options?: HistoryOptions,
  ): Promise<readonly TagHistory[]> {
    const history = await world.host.history(image, options)
    if (history.of === 'image') return history.rows
    throw new Error(`${image} is a store`)
  }

  it('shows the current write of each tag, and the earlier ones when asked for all', async () => {
    await wholeLayers()
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    world.images['app:v1'] = arm64
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const current = await historyOf('mem://b/app')
    expect(current).toMatchObject([{ tag: 'v1', digest: arm64.root.descriptor.digest }])
    const all = await historyOf('mem://b/app', { all: true })
    expect(all).toHaveLength(2)
    expect(all.filter(({ superseded }) => superseded)).toHaveLength(1)
    expect(await historyOf('mem://b/app', { all: true, limit: 1 })).toHaveLength(1)
  })

  it('shows a tag that a writer without history overwrote, by its object time', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    await putImage(bucket, { name: 'app', tag: 'v1' }, arm64)
    const [current] = await historyOf('mem://b/app')
    expect(current?.digest).toBe(arm64.root.descriptor.digest)
    expect(current?.size_bytes).toBeGreaterThan(0)
  })

  it('shows the rest when one history cannot be read, and says so', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    await world.host.push('fix:app:v1', 'mem://b/other:v1')
    await bucket.put('manifests/app/v1/history.json', encode('{ torn'))
    const notices: string[] = []
    const { rows } = await world.host.history('mem://b', {
      onProgress: (event) => event.type === 'notice' && notices.push(event.code),
    })
    expect(rows).toHaveLength(2)
    expect(notices).toEqual(['history-unreadable'])
  })

  it('sums up the images of a store', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    await world.host.push('fix:app:v1', 'mem://b/app:v2')
    await world.host.push('fix:multi:v1', 'mem://b/team/app:v1', { allPlatforms: true })
    const history = await world.host.history('mem://b')
    expect(history.of).toBe('store')
    expect(history.rows).toHaveLength(2)
    expect(history.rows).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'app', tags: 2 }),
        expect.objectContaining({ name: 'team/app', tags: 1 }),
      ]),
    )
  })

  it('narrows to the tag that is named', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    await world.host.push('fix:app:v1', 'mem://b/app:v2')
    expect(await historyOf('mem://b/app:v2')).toMatchObject([{ tag: 'v2' }])
    await expect(historyOf('mem://b/app:v3')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: 's3lo history memory://b/app shows the pushes of the image',
    })
  })

  it('narrows to a digest, which may be shortened', async () => {
    await world.host.push('fix:app:v1', 'mem://b/app:v1')
    const [one, other] = ['4f2a0', '4f2a1'].map((start) => `sha256:${start.padEnd(64, '0')}`)
    const entries = [one, other, one].map((digest, i) => {
      return { digest, pushed_at: `2020-01-0${i + 1}T00:00:00Z`, size_bytes: 12 }
    })
    await bucket.put('manifests/app/v1/history.json', encode(JSON.stringify(entries)))
    const find = (digest: string) => historyOf(`mem://b/app@${digest}`, { all: true })
    for (const digest of [one ?? '', 'sha256:4f2a0']) {
      expect(await find(digest)).toMatchObject([{ digest: one }, { digest: one }])
    }
    await expect(find('sha256:4f2a')).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    await expect(find('sha256:4f')).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    await expect(find('sha256:4f2b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('records the logical size for a copy of several platforms', async () => {
    await putImage(bucket, { name: 'm', tag: 'v1' }, both)
    await world.host.copy('mem://b/m:v1', 'mem://c/m:v1')
    const [entry] = await historyOf('mem://c/m')
    const { platforms = [] } = await world.host.inspect('mem://c/m:v1')
    const layers = platforms.reduce((sum, { total_size: size }) => sum + size, 0)
    // Configs count too, and the layer that both platforms share counts twice.
    expect(entry?.size_bytes).toBeGreaterThan(layers)
  })
})
