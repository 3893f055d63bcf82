import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { S3loError } from '../../src/errors.ts'
import { withPublication } from '../../src/graph/with-publication.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { appendHistory, historyEntry, readHistory } from '../../src/store/history.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { copySignatures } from '../../src/store/signature-records.ts'
import { readAll } from '../../src/stream/read-all.ts'
import {
  attachReferrer,
  FaultyBackend,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
  throwAt,
} from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one', 'two'] })
const tag = { name: 'app', tag: 'v1' }

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

async function text(body: Readable): Promise<string> {
  return Buffer.from(await readAll(body, 10_000, 'body')).toString()
}

describe('reading a store', () => {
  it('finds a manifest by digest: a child among the blobs, a root among the tags', async () => {
    const backend = new MemoryBackend()
    const index = indexFixture({ 'linux/amd64': image })
    await putImage(backend, tag, index)
    const store = new ImageStore(backend)
    for (const { descriptor } of [index.root, image.root]) {
      const found = await store.read({ name: 'app', digest: descriptor.digest })
      expect(found.descriptor.digest).toBe(descriptor.digest)
    }
  })

  it('does not believe a tag that is merely named like a digest', async () => {
    const backend = new MemoryBackend()
    const digest = digestOf(encode('something else'))
    await putImage(backend, { name: 'app', tag: digest }, image)
    await expect(new ImageStore(backend).read({ name: 'app', digest })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it.each([
    ['garbage', encode('hello')],
    ['of schema 1', encode('{"schemaVersion":1}')],
    ['too large', new Uint8Array(5 * 1024 * 1024)],
  ])('finds a manifest by digest beside a tag that is %s', async (_, broken) => {
    const backend = new MemoryBackend()
    await putImage(backend, tag, image)
    await backend.put('manifests/app/a/manifest.json', broken)
    const { digest } = image.root.descriptor
    const found = await new ImageStore(backend).read({ name: 'app', digest })
    expect(found.descriptor.digest).toBe(digest)
  })

  it('tells a damaged blob from one that is missing, unless a tag has the content', async () => {
    const backend = new MemoryBackend()
    const { digest } = image.root.descriptor
    const store = new ImageStore(backend)
    await putImage(backend, { ...tag, tag: 'all' }, indexFixture({ 'linux/amd64': image }))
    await backend.put(`blobs/sha256/${digest.slice(7)}`, encode('hello'))
    await expect(store.read({ name: 'app', digest })).rejects.toMatchObject({ code: 'INTEGRITY' })
    await backend.put('manifests/app/v1/manifest.json', image.root.content)
    expect((await store.read({ name: 'app', digest })).descriptor.digest).toBe(digest)
  })

  it.each(['sha256:' + 'A'.repeat(64), 'sha256:' + 'a'.repeat(40), 'md5:' + 'a'.repeat(32)])(
    'takes %s for a wrong reference',
    async (digest) => {
      const reading = new ImageStore(new MemoryBackend()).read({ name: 'app', digest })
      await expect(reading).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    },
  )

  it('does not take a layer for a manifest', async () => {
    const backend = new MemoryBackend()
    await putImage(backend, tag, image)
    const digest = digestOf(encode('one'))
    await expect(new ImageStore(backend).read({ name: 'app', digest })).rejects.toMatchObject({
      code: 'INTEGRITY',
    })
  })

  it('looks up sha512 content under sha512', async () => {
    const backend = new MemoryBackend()
    const digest = digestOf(encode('x'), 'sha512')
    const store = new ImageStore(backend)
    const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest, size: 1 }
    await store.begin().put(descriptor, () => Promise.resolve(Readable.from([encode('x')])))
    expect(await backend.head(`blobs/sha512/${digest.slice(7)}`)).toBeDefined()
    expect(await text(await store.fetch(descriptor))).toBe('x')
  })

  it('says that the bucket is missing, and not only the tag', async () => {
    const error = new S3loError('NOT_FOUND', 'the bucket does not exist')
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: ({ method }) => {
        if (method === 'head') throw error
      },
    })
    await expect(new ImageStore(backend).read(tag)).rejects.toBe(error)
  })

  it('names a blob that is missing, and one whose length is wrong', async () => {
    const backend = new MemoryBackend()
    const store = new ImageStore(backend)
    const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest: digestOf(encode('xy')), size: 2 }
    await expect(store.fetch(descriptor)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(descriptor.digest),
    })
    await backend.put(`blobs/sha256/${descriptor.digest.slice(7)}`, encode('x'))
    await expect(store.fetch(descriptor)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await store.begin().has(descriptor)).toBe(false)
  })

  it('reads the configuration again after a read that failed', async () => {
    const backend = new MemoryBackend()
    await backend.put('s3lo.yaml', encode('chunked: false\n'))
    const store = new ImageStore(backend)
    const stop = new AbortController()
    stop.abort(new Error('enough'))
    await expect(store.config({ signal: stop.signal })).rejects.toThrow('enough')
    expect(await store.config()).toMatchObject({ chunked: false })
  })

  it('fails the stream of a blob whose bytes are wrong', async () => {
    const backend = new MemoryBackend()
    const descriptor = { mediaType: MEDIA_TYPE.ociLayer, digest: digestOf(encode('xy')), size: 2 }
    await backend.put(`blobs/sha256/${descriptor.digest.slice(7)}`, encode('xz'))
    const body = await new ImageStore(backend).fetch(descriptor)
    await expect(text(body)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('refuses a layer that is stored in chunks whose recipe is torn', async () => {
    const backend = new MemoryBackend()
    const digest = digestOf(encode('chunked'))
    await backend.put(`recipes/sha256/${digest.slice(7)}`, encode('{}'))
    const descriptor = { mediaType: MEDIA_TYPE.ociLayerZstd, digest, size: 7 }
    const store = new ImageStore(backend)
    await expect(store.fetch(descriptor)).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringContaining(digest.slice(7)),
    })
    expect(await store.blobs.form(digest)).toBe('chunks')
  })

  it('reads an image of layout v1.0.0 with its own blobs, and only its own', async () => {
    const backend = new MemoryBackend()
    for (const [digest, bytes] of image.content) {
      await backend.put(`app/v1/blobs/sha256/${digest.slice(7)}`, bytes)
    }
    await backend.put('app/v1/manifest.json', image.root.content)
    const store = new ImageStore(backend)
    const { descriptor } = await store.read(tag)
    expect(descriptor.digest).toBe(image.root.descriptor.digest)
    const layer = { mediaType: MEDIA_TYPE.ociLayer, digest: digestOf(encode('one')), size: 3 }
    expect(await text(await store.fetch(layer))).toBe('one')
    await expect(store.read({ name: 'app', tag: 'v' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses a manifest that is larger than any may be', async () => {
    const backend = new MemoryBackend()
    await backend.put('manifests/app/v1/manifest.json', new Uint8Array(4 * 1024 * 1024 + 1))
    await expect(new ImageStore(backend).read(tag)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})

describe('writing a store', () => {
  it('lets exactly one of many create-only tags through', async () => {
    const backend = new MemoryBackend()
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (__, i) =>
        new ImageStore(backend).begin().tag(imageFixture({ layers: [`${i}`] }).root, tag, {
          createOnly: true,
        }),
      ),
    )
    const lost = outcomes.filter(({ status }) => status === 'rejected')
    expect(lost).toHaveLength(19)
    for (const outcome of lost) {
      expect(outcome).toMatchObject({
        reason: { code: 'CONFLICT', message: expect.stringContaining('immutable') },
      })
    }
  })

  it('takes content of unknown digest through its staging place and leaves nothing there', async () => {
    const backend = new MemoryBackend()
    const store = new ImageStore(backend)
    const content = Readable.from([encode('un'), encode('known')])
    const descriptor = await store.begin().ingest(content, 7, MEDIA_TYPE.ociLayer)
    expect(descriptor.digest).toBe(digestOf(encode('unknown')))
    expect(await store.begin().has(descriptor)).toBe(true)
    const staged = await Array.fromAsync(backend.list('.s3lo/'))
    expect(staged).toEqual([])
  })

  it('leaves nothing staged when the content breaks off', async () => {
    const backend = new MemoryBackend()
    const content = Readable.from([encode('un')])
    await expect(
      new ImageStore(backend).begin().ingest(content, 7, MEDIA_TYPE.ociLayer),
    ).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await Array.fromAsync(backend.list(''))).toEqual([])
  })

  it('publishes although the history cannot be recorded, and says so', async () => {
    const key = 'manifests/app/v1/history.json'
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: throwAt(1, new S3loError('FORBIDDEN', 'no'), (call) => call.key === key),
    })
    const notices: string[] = []
    await new ImageStore(backend).begin().tag(image.root, tag, {
      onProgress: (event) => event.type === 'notice' && notices.push(event.code),
    })
    expect(notices).toEqual(['history-not-recorded'])
    expect(await backend.head(key)).toBeUndefined()
  })

  it.each([
    ['is no JSON', '{ torn', []],
    ['is no list', '{"pushed_at":1}', []],
    [
      'has an entry that is none',
      '[{"pushed_at":"2026-01-01T00:00:00Z","digest":"sha256:x","size_bytes":3,"by":"me"},{"at":1}]',
      [{ pushed_at: '2026-01-01T00:00:00Z', digest: 'sha256:x', size_bytes: 3, by: 'me' }],
    ],
  ])('mends a history that %s, and says so', async (_, damaged, kept) => {
    const backend = new MemoryBackend()
    await backend.put('manifests/app/v1/history.json', encode(damaged))
    const notices: string[] = []
    await new ImageStore(backend).begin().tag(image.root, tag, {
      onProgress: (event) => event.type === 'notice' && notices.push(event.code),
    })
    expect(notices).toEqual(['history-mended'])
    const { body } = await backend.get('manifests/app/v1/history.json')
    expect(JSON.parse(await text(body))).toEqual([
      expect.objectContaining({ digest: image.root.descriptor.digest }),
      ...kept,
    ])
  })
})

describe('history', () => {
  const at = new Date('2026-04-12T14:09:41.900Z')

  it('writes the format of the Go program, newest first, and keeps members it does not know', async () => {
    const backend = new MemoryBackend()
    const key = 'manifests/app/v1/history.json'
    const old = { pushed_at: '2026-04-12T14:09:08Z', digest: 'sha256:x', size_bytes: 3, by: 'ci' }
    await backend.put(key, encode(JSON.stringify([old])))
    await appendHistory(backend, tag, historyEntry(at, 'sha256:y', 4, false))
    const { body } = await backend.get(key)
    expect(await text(body)).toBe(
      '[{"pushed_at":"2026-04-12T14:09:41Z","digest":"sha256:y","size_bytes":4},' +
        '{"pushed_at":"2026-04-12T14:09:08Z","digest":"sha256:x","size_bytes":3,"by":"ci"}]',
    )
  })

  it('keeps every entry of concurrent writers', async () => {
    const backend = new MemoryBackend()
    const writers = Array.from({ length: 8 }, (_, i) =>
      appendHistory(backend, tag, historyEntry(at, `sha256:${i}`, i, false)),
    )
    await Promise.all(writers)
    expect(await readHistory(backend, 'manifests/app/v1/history.json')).toHaveLength(8)
  })

  it.each(['{}', '[1]', '[{"pushed_at":"yesterday","digest":"d","size_bytes":1}]', 'nonsense'])(
    'refuses %s',
    async (content) => {
      const backend = new MemoryBackend()
      await backend.put('h', encode(content))
      await expect(readHistory(backend, 'h')).rejects.toMatchObject({ code: 'INTEGRITY' })
    },
  )
})

describe('referrers', () => {
  const sbom = referrerFixture(image.root.descriptor, 'application/spdx+json', 'packages')
  const place = { repository: 'app', subject: image.root.descriptor }

  async function attach(backend: MemoryBackend): Promise<ImageStore> {
    const store = new ImageStore(backend)
    await attachReferrer(store, sbom.root, place, (blob) =>
      Promise.resolve(Readable.from([sbom.content.get(blob.digest)!])),
    )
    return store
  }

  it('are kept away from the blobs that the Go program collects', async () => {
    const backend = new MemoryBackend()
    await attach(backend)
    const keys = (await Array.fromAsync(backend.list(''))).map(({ key }) => key)
    expect(keys.every((key) => key.startsWith('.s3lo/'))).toBe(true)
  })

  it('are listed with their artifact type, fetched, and detached', async () => {
    const store = await attach(new MemoryBackend())
    const list = () => Array.fromAsync(store.referrers('app', place.subject))
    const [found] = await list()
    if (!found) throw new Error('nothing refers to the image')
    expect(found).toMatchObject({ artifactType: 'application/spdx+json' })
    const content = await store.fetch(found, { repository: 'app' })
    expect(await text(content)).toBe(Buffer.from(sbom.root.content).toString())
    await expect(store.fetch(found, { repository: 'other' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await withPublication(store, {}, (publication) => publication.detach(place, found.digest))
    expect(await list()).toEqual([])
  })

  it('must name their subject', async () => {
    const store = new ImageStore(new MemoryBackend())
    const subject = imageFixture({ layers: ['other'] }).root.descriptor
    const other = { repository: 'app', subject }
    await expect(
      attachReferrer(store, sbom.root, other, () => Promise.resolve(Readable.from([]))),
    ).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})

describe('signature records', () => {
  it('are copied without what is too large to be one', async () => {
    const [source, target] = [new MemoryBackend(), new MemoryBackend()]
    await source.put(
      'manifests/app/v1/signatures/00000000000000aa.json',
      new Uint8Array(300 * 1024),
    )
    await source.put('manifests/app/v1/signatures/00000000000000bb.json', encode('{}'))
    expect(await copySignatures(source, target, tag)).toBe(1)
    const copied = await Array.fromAsync(target.list(''))
    expect(copied.map(({ key }) => key)).toEqual([
      'manifests/app/v1/signatures/00000000000000bb.json',
    ])
  })
})
