import { digestOf, ImageStore } from '@s3lo/core'
import {
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
  referrerFixture,
} from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Principal, RegistryOptions } from '../src/index.ts'
import { type Reply, type ServedStore, serveBackend, serveMemory } from './support/served-store.ts'

const image = imageFixture({ layers: ['layer'] })
const next = imageFixture({ layers: ['layer'], label: 'next' })
const { descriptor } = image.root

let served: ServedStore
beforeAll(async () => {
  served = await serveMemory()
})
afterAll(() => served[Symbol.asyncDispose]())

/** Sends what a manifest names, and then the manifest. */
async function push(
  { root, content }: ImageFixture,
  path: string,
  headers: Record<string, string> = {},
  to = served,
): Promise<Reply> {
  const repository = path.slice(0, path.indexOf('/manifests/'))
  for (const [digest, bytes] of content) {
    const uploads = `/v2/${repository}/blobs/uploads/?digest=${digest}`
    expect((await to.ask(uploads, { method: 'POST', body: bytes })).status).toBe(201)
  }
  return put(root.content, path, { 'content-type': root.descriptor.mediaType, ...headers }, to)
}

function put(
  body: Uint8Array | string,
  path: string,
  headers: Record<string, string> = {},
  to = served,
): Promise<Reply> {
  return to.ask(`/v2/${path}`, { method: 'PUT', body, headers })
}

async function digestAt(path: string): Promise<unknown> {
  return (await served.ask(`/v2/${path}`, { method: 'HEAD' })).headers['docker-content-digest']
}

function errorsOf({ body }: Reply): readonly { code: string; detail?: unknown }[] {
  return (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors
}

/** A store whose tags of `fixed` are immutable. */
async function serveWith(config: string, options: RegistryOptions = {}): Promise<ServedStore> {
  const own = await serveMemory(options)
  await own.backend.put('s3lo.yaml', Buffer.from(config))
  return own
}

describe('a manifest', () => {
  it('is published under a tag and its digest, and is what s3lo reads', async () => {
    const reply = await push(image, 'team/app/manifests/v1')
    expect([reply.status, reply.headers.location]).toEqual([
      201,
      `/v2/team/app/manifests/${descriptor.digest}`,
    ])
    expect(await digestAt('team/app/manifests/v1')).toBe(descriptor.digest)
    expect(await digestAt(`team/app/manifests/${descriptor.digest}`)).toBe(descriptor.digest)
    const read = await new ImageStore(served.backend).read({ name: 'team/app', tag: 'v1' })
    expect(read.descriptor.digest).toBe(descriptor.digest)
  })

  it('stays pullable by its digest when its tag moves, and when it is deleted', async () => {
    await push(image, 'moved/manifests/v1')
    await push(next, 'moved/manifests/v1')
    expect(await digestAt('moved/manifests/v1')).toBe(next.root.descriptor.digest)
    expect((await served.ask('/v2/moved/manifests/v1', { method: 'DELETE' })).status).toBe(202)
    expect((await served.ask('/v2/moved/manifests/v1')).status).toBe(404)
    for (const { root } of [image, next]) {
      expect(await digestAt(`moved/manifests/${root.descriptor.digest}`)).toBe(
        root.descriptor.digest,
      )
    }
  })

  it('is not found by its digest in another repository', async () => {
    await push(image, 'one/manifests/v1')
    expect((await served.ask(`/v2/two/manifests/${descriptor.digest}`)).status).toBe(404)
  })

  it('is gone at once, also from memory, when its digest is deleted', async () => {
    const path = `gone/manifests/${descriptor.digest}`
    await push(image, 'gone/manifests/v1')
    expect(await digestAt(path)).toBe(descriptor.digest)
    expect(await digestAt(path)).toBe(descriptor.digest)
    expect((await served.ask(`/v2/${path}`, { method: 'DELETE' })).status).toBe(202)
    for (const gone of [path, 'gone/manifests/v1']) {
      expect((await served.ask(`/v2/${gone}`)).status).toBe(404)
    }
    expect((await served.ask(`/v2/${path}`, { method: 'DELETE' })).status).toBe(404)
  })

  it('is published by its digest alone, and takes the tags that the query names', async () => {
    const reply = await push(image, `tags/manifests/${descriptor.digest}?tag=a&tag=b`)
    expect([reply.status, reply.headers['oci-tag']]).toEqual([201, 'a, b'])
    expect(await digestAt('tags/manifests/a')).toBe(descriptor.digest)
    expect(await digestAt('tags/manifests/b')).toBe(descriptor.digest)
  })

  it('is known by the algorithm that its client chose', async () => {
    const sha512 = digestOf(image.root.content, 'sha512')
    expect((await push(image, `long/manifests/${sha512}?tag=v1`)).status).toBe(201)
    expect(await digestAt(`long/manifests/${sha512}`)).toBe(sha512)
    expect((await served.ask('/v2/long/manifests/v1')).status).toBe(200)
  })

  it('names children that were pushed under tags alone', async () => {
    const index = indexFixture({ 'linux/amd64': image, 'linux/arm64': next })
    await push(image, 'multi/manifests/amd64')
    await push(next, 'multi/manifests/arm64')
    const headers = { 'content-type': index.root.descriptor.mediaType }
    expect((await put(index.root.content, 'multi/manifests/all', headers)).status).toBe(201)
  })

  it('that is an index may leave its own media type and the platforms out', async () => {
    await push(image, 'app/plain/manifests/child')
    const manifests = [image.root.descriptor]
    const content = JSON.stringify({ schemaVersion: 2, manifests })
    const type = 'application/vnd.oci.image.index.v1+json'
    const { status } = await put(content, 'app/plain/manifests/index', { 'content-type': type })
    expect(status).toBe(201)
    const { headers, body } = await served.ask('/v2/app/plain/manifests/index')
    expect([headers['content-type'], body.toString()]).toEqual([type, content])
  })

  it('is refused with every blob that is missing', async () => {
    const unknown = imageFixture({ layers: ['not sent', 'neither'] })
    const reply = await put(unknown.root.content, 'incomplete/manifests/v1')
    expect(reply.status).toBe(404)
    expect(errorsOf(reply).map(({ code }) => code)).toEqual(
      [...unknown.content].map(() => 'MANIFEST_BLOB_UNKNOWN'),
    )
    expect(errorsOf(reply).map(({ detail }) => detail)).toEqual(
      expect.arrayContaining([...unknown.content.keys()].map((digest) => ({ digest }))),
    )
    expect((await served.ask('/v2/incomplete/manifests/v1')).status).toBe(404)
  })

  it.each([
    ['not json', 400, 'MANIFEST_INVALID'],
    ['{}', 400, 'MANIFEST_INVALID'],
    ['{"schemaVersion":1}', 400, 'MANIFEST_INVALID'],
    [' '.repeat(4 * 1024 * 1024 + 1), 413, 'SIZE_INVALID'],
  ])('is refused when it is none: %.20s', async (body, status, code) => {
    const reply = await put(body, 'wrong/manifests/v1')
    expect([reply.status, errorsOf(reply)[0]?.code]).toEqual([status, code])
  })

  it('is refused under the digest of another, and as another type than it is', async () => {
    const wrong = await put(next.root.content, `wrong/manifests/${descriptor.digest}`)
    expect([wrong.status, errorsOf(wrong)[0]?.code]).toEqual([400, 'DIGEST_INVALID'])
    const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' }
    const index = await put(image.root.content, 'wrong/manifests/v1', headers)
    expect([index.status, errorsOf(index)[0]?.code]).toEqual([400, 'MANIFEST_INVALID'])
  })

  it('is listed among the referrers of its subject, which need not be there', async () => {
    const referrer = referrerFixture(descriptor, 'x/sbom', 'all that is in it')
    const { digest } = referrer.root.descriptor
    const reply = await push(referrer, `about/manifests/${digest}`)
    expect([reply.status, reply.headers['oci-subject']]).toEqual([201, descriptor.digest])
    const { body } = await served.ask(`/v2/about/referrers/${descriptor.digest}`)
    expect(JSON.parse(body.toString())).toMatchObject({
      manifests: [{ digest, artifactType: 'x/sbom' }],
    })
  })
})

it('referrers that a tag lists, as of registries without referrers, are listed with the others', async () => {
  const [own, ...others] = ['x/0', 'x/1', 'x/2'].map(
    (type) => referrerFixture(descriptor, type, type).root,
  )
  await push(referrerFixture(descriptor, 'x/0', 'x/0'), `old/manifests/${own!.descriptor.digest}`)
  const manifests = [own!, ...others].map((root) => ({ ...root.descriptor, artifactType: 'x/old' }))
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests,
  }
  const tag = descriptor.digest.replace(':', '-')
  const content = Buffer.from(JSON.stringify(index))
  await served.backend.put(`manifests/old/${tag}/manifest.json`, content)
  const list = async (query = ''): Promise<readonly { digest: string; artifactType: string }[]> => {
    const { body } = await served.ask(`/v2/old/referrers/${descriptor.digest}${query}`)
    return (JSON.parse(body.toString()) as { manifests: [] }).manifests
  }
  const digests = [own!, ...others].map((root) => root.descriptor.digest).toSorted()
  const listed = await list()
  expect(listed.map(({ digest }) => digest)).toEqual(digests)
  expect(listed.find(({ digest }) => digest === own!.descriptor.digest)?.artifactType).toBe('x/0')
  const rest = await list(`?last=${digests[0]}`)
  expect(rest.map(({ digest }) => digest)).toEqual(digests.slice(1))
})

describe('a tag', () => {
  it('is written only as its client expects it', async () => {
    const path = 'expected/manifests/v1'
    const etag = `"${descriptor.digest}"`
    expect((await push(image, path, { 'if-match': etag })).status).toBe(412)
    expect((await push(image, path, { 'if-none-match': '*' })).status).toBe(201)
    expect((await push(next, path, { 'if-none-match': '*' })).status).toBe(412)
    expect((await push(next, path, { 'if-match': '"sha256:other"' })).status).toBe(412)
    expect((await push(next, path, { 'if-match': etag })).status).toBe(201)
    expect(await digestAt(path)).toBe(next.root.descriptor.digest)
  })

  it('that is immutable is written once, and again with the same manifest only', async () => {
    const fixed = await serveWith('default: {immutable: true}\n')
    const path = 'app/manifests/v1'
    expect((await push(image, path, {}, fixed)).status).toBe(201)
    expect((await push(image, path, {}, fixed)).status).toBe(201)
    const reply = await push(next, path, {}, fixed)
    expect([reply.status, errorsOf(reply)[0]?.code]).toEqual([403, 'DENIED'])
    const gone = await fixed.ask(`/v2/${path}`, { method: 'DELETE' })
    expect([gone.status, errorsOf(gone)[0]?.code]).toEqual([403, 'DENIED'])
    await fixed[Symbol.asyncDispose]()
  })
})

it('a push is warned of what the store cannot guarantee', async () => {
  const weak = new MemoryBackend({ guarantees: { createOnly: false, compareAndSwap: false } })
  await weak.put('s3lo.yaml', Buffer.from('default: {immutable: true}\n'))
  const own = await serveBackend(weak)
  const reply = await push(image, 'app/manifests/v1', {}, own)
  expect(reply.status).toBe(201)
  expect(reply.headers.warning).toMatch(/^299 - ".*does not refuse a second write of app:v1/)
  await own[Symbol.asyncDispose]()
})

it('a client that may not read everything names only what its repository has', async () => {
  const principal: Principal = { name: 'bob', may: () => true, pullsAll: false }
  const own = await serveMemory({ authorize: () => ({ kind: 'granted', principal }) })
  expect((await push(image, 'theirs/manifests/v1', {}, own)).status).toBe(201)
  const stolen = await put(image.root.content, 'mine/manifests/v1', {}, own)
  expect([stolen.status, errorsOf(stolen)[0]?.code]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN'])
  expect((await push(image, 'mine/manifests/v1', {}, own)).status).toBe(201)
  await own[Symbol.asyncDispose]()
})
