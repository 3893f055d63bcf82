import { Readable } from 'node:stream'
import { type Descriptor, isIndexMediaType, MEDIA_TYPE, referrersTagOf } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import {
  blobOf,
  bytesOf,
  CONFIG,
  documentOf,
  IMAGE,
  LAYER,
  listOf,
  noise,
  opener,
  referrerOf,
} from './images.ts'
import { MemoryRegistry, type MemoryRegistryOptions, refuse } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
let server: MemoryRegistry
let repository: RegistryRepository

beforeEach(() => use({}))
afterEach(stop)

async function use(options: MemoryRegistryOptions): Promise<void> {
  server = await MemoryRegistry.start(options)
  repository = openRepository(server.host, REPOSITORY, { partBytes: 1000 })
}

async function restart(options: MemoryRegistryOptions): Promise<void> {
  await stop()
  await use(options)
}

async function stop(): Promise<void> {
  await repository.close()
  await server.stop()
}

async function pushImage(): Promise<void> {
  for (const { descriptor, content } of [CONFIG, LAYER]) {
    await repository.put(descriptor, opener(content))
  }
  await repository.tag(IMAGE, { name: REPOSITORY, tag: 'v1' })
}

const sent = (method: string): number =>
  server.requests.filter((request) => request.startsWith(method)).length

describe('a repository', () => {
  it('gives back what was pushed', async () => {
    await pushImage()
    const found = await repository.resolve({ name: REPOSITORY, tag: 'v1' })
    expect(found).toEqual(IMAGE.descriptor)
    expect(await bytesOf(await repository.fetch(found))).toEqual(Buffer.from(IMAGE.content))
    expect(await bytesOf(await repository.fetch(LAYER.descriptor))).toEqual(LAYER.content)
  })

  it('resolves a digest', async () => {
    await pushImage()
    const { digest } = IMAGE.descriptor
    expect(await repository.resolve({ name: REPOSITORY, digest })).toEqual(IMAGE.descriptor)
  })

  it('resolves by HEAD alone', async () => {
    await pushImage()
    server.requests.length = 0
    await repository.resolve({ name: REPOSITORY, tag: 'v1' })
    expect(server.requests).toEqual(['HEAD /v2/team/app/manifests/v1'])
  })

  it('computes the digest where the registry names none', async () => {
    await pushImage()
    server.script = (request, response) => {
      if (!request.url?.includes('/manifests/')) return false
      response.writeHead(200, { 'content-type': MEDIA_TYPE.ociManifest })
      response.end(request.method === 'HEAD' ? undefined : IMAGE.content)
      return true
    }
    expect(await repository.resolve({ name: REPOSITORY, tag: 'v1' })).toEqual(IMAGE.descriptor)
  })

  it('says NOT_FOUND of a tag and a blob that are not there', async () => {
    expect(await codeOf(repository.resolve({ name: REPOSITORY, tag: 'v1' }))).toBe('NOT_FOUND')
    expect(await codeOf(repository.fetch(LAYER.descriptor))).toBe('NOT_FOUND')
    expect(await repository.has(LAYER.descriptor)).toBe(false)
    expect(await repository.has(IMAGE.descriptor)).toBe(false)
  })

  it('explains a layer that registries do not distribute', async () => {
    const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    expect(await codeOf(repository.fetch({ ...LAYER.descriptor, mediaType }))).toBe('UNSUPPORTED')
  })

  it('reads a range of a blob', async () => {
    const { descriptor, content } = blobOf(noise(5000))
    await repository.put(descriptor, opener(content))
    const range = { start: 1000, end: 1010 }
    const body = await repository.fetch(descriptor, { range })
    expect(await bytesOf(body)).toEqual(content.subarray(1000, 1010))
    const none = await repository.fetch(descriptor, { range: { start: 5000 } })
    expect(await bytesOf(none)).toHaveLength(0)
  })

  it('reads a range where the registry gives only everything', async () => {
    const { descriptor, content } = blobOf(noise(5000))
    server.script = (_request, response) => {
      response.end(content)
      return true
    }
    const body = await repository.fetch(descriptor, { range: { start: 4990 } })
    expect(await bytesOf(body)).toEqual(content.subarray(4990))
  })

  it('resumes where a broken download ended', async () => {
    const { descriptor, content } = blobOf(noise(50_000))
    server.blobs.set(descriptor.digest, content)
    const ranges: (string | undefined)[] = []
    server.script = (request, response) => {
      ranges.push(request.headers.range)
      if (ranges.length > 1) return false
      response.writeHead(200, { 'content-length': content.byteLength })
      response.write(content.subarray(0, 20_000), () => response.destroy())
      return true
    }
    expect(await bytesOf(await repository.fetch(descriptor))).toEqual(content)
    expect(ranges).toEqual([undefined, 'bytes=20000-49999'])
  })

  it('handles sha512', async () => {
    const { descriptor, content } = blobOf(noise(3000), MEDIA_TYPE.ociLayer, 'sha512')
    await repository.put(descriptor, opener(content))
    expect(await bytesOf(await repository.fetch(descriptor))).toEqual(content)
  })

  it('lists tags over several pages', async () => {
    await pushImage()
    for (const tag of ['v2', 'v3', 'v4', 'v5']) {
      await repository.tag(IMAGE, { name: REPOSITORY, tag })
    }
    const tags = await listOf(repository.tags(REPOSITORY))
    expect(tags).toEqual(['v1', 'v2', 'v3', 'v4', 'v5'])
  })

  it('deletes a tag', async () => {
    await pushImage()
    await repository.delete({ name: REPOSITORY, tag: 'v1' })
    expect(await codeOf(repository.resolve({ name: REPOSITORY, tag: 'v1' }))).toBe('NOT_FOUND')
  })

  it('refuses to replace a tag when it shall only be created', async () => {
    await pushImage()
    const again = repository.tag(IMAGE, { name: REPOSITORY, tag: 'v1' }, { createOnly: true })
    expect(await codeOf(again)).toBe('CONFLICT')
  })

  it('refuses what is no repository', () => {
    expect(() => openRepository(server.host, '../etc')).toThrow('is not a repository')
  })

  it('refuses another repository than its own', async () => {
    expect(await codeOf(repository.resolve({ name: 'other', tag: 'v1' }))).toBe('USAGE')
  })
})

describe('a push', () => {
  const large = blobOf(noise(4500))

  it('sends nothing that is there', async () => {
    server.blobs.set(LAYER.descriptor.digest, LAYER.content)
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(sent('POST')).toBe(0)
  })

  it('asks once only whether a blob is there', async () => {
    expect(await repository.has(LAYER.descriptor)).toBe(false)
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(sent('HEAD')).toBe(1)
  })

  it.each(['PUT', 'POST'])('repeats a %s whose answer was lost', async (method) => {
    let seen = 0
    server.script = (request, response) => {
      if (request.method !== method || ++seen > 1) return false
      response.destroy()
      return true
    }
    for (const { descriptor, content } of [LAYER, large]) {
      await repository.put(descriptor, opener(content))
      expect(server.blobs.get(descriptor.digest)).toEqual(Buffer.from(content))
    }
  })

  it('takes a blob as stored whose last answer alone was lost', async () => {
    server.script = (request, response) => {
      if (request.method !== 'PUT') return false
      server.blobs.set(large.descriptor.digest, large.content)
      response.destroy()
      return true
    }
    await repository.put(large.descriptor, opener(large.content))
    expect(sent('PUT')).toBe(1)
  })

  it.each([LAYER, large])(
    'stores nothing of content that is not what was announced',
    async (blob) => {
      const wrong = Buffer.from(blob.content)
      wrong[0] = (wrong[0] ?? 0) ^ 1
      expect(await codeOf(repository.put(blob.descriptor, opener(wrong)))).toBe('INTEGRITY')
      expect([server.blobs.size, server.uploads.size]).toEqual([0, 0])
    },
  )

  it('fails with what a manifest source fails with', async () => {
    const broken = (): Promise<Readable> =>
      Promise.resolve(
        new Readable({
          read() {
            this.destroy(new Error('the source broke'))
          },
        }),
      )
    expect(await codeOf(repository.put(IMAGE.descriptor, broken))).toContain('the source broke')
  })

  it('ends with the reason of its signal', async () => {
    const controller = new AbortController()
    server.script = (request) => {
      if (request.method === 'PATCH') controller.abort(new Error('enough'))
      return false
    }
    const { signal } = controller
    const push = repository.put(large.descriptor, opener(large.content), { signal })
    expect(await codeOf(push)).toContain('enough')
  })

  it('mounts from another repository of the registry', async () => {
    server.blobs.set(large.descriptor.digest, large.content)
    const source = openRepository(server.host, 'team/other')
    expect(await repository.mount(large.descriptor, source)).toBe(true)
    await source.close()
  })

  it('sends what cannot be mounted by the upload that the registry opened instead', async () => {
    const source = openRepository(server.host, 'team/other')
    expect(await repository.mount(large.descriptor, source)).toBe(false)
    await repository.put(large.descriptor, opener(large.content))
    expect([sent('POST'), sent('HEAD')]).toEqual([1, 0])
    await source.close()
  })

  it('mounts nothing from another registry', async () => {
    const other = openRepository('127.0.0.1:1', 'team/other')
    expect(await repository.mount(large.descriptor, other)).toBe(false)
    expect(sent('POST')).toBe(0)
    await other.close()
  })
})

describe('referrers', () => {
  const types = ['application/vnd.example.a', 'application/vnd.example.b']
  const empty = blobOf('{}', MEDIA_TYPE.ociEmpty)

  async function attachAll(): Promise<readonly Descriptor[]> {
    const referrers = types.map((type) => referrerOf(IMAGE.descriptor, type))
    for (const referrer of referrers) {
      await repository.attach(
        referrer,
        { repository: REPOSITORY, subject: IMAGE.descriptor },
        opener(empty.content),
      )
    }
    return referrers.map(({ descriptor }) => descriptor)
  }

  async function digests(): Promise<readonly string[]> {
    return (await listOf(repository.referrers(REPOSITORY, IMAGE.descriptor))).map(
      ({ digest }) => digest,
    )
  }

  it('are listed by the API where there is one', async () => {
    await restart({ referrers: true })
    const attached = await attachAll()
    expect((await digests()).toSorted()).toEqual(attached.map(({ digest }) => digest).toSorted())
    const tag = referrersTagOf(IMAGE.descriptor.digest)
    expect(server.manifests.has(`${REPOSITORY}/${tag}`)).toBe(false)
  })

  it.each([true, false])('are kept in a tagged index (conditions: %s)', async (conditions) => {
    await restart({ conditions })
    const attached = await attachAll()
    expect(await digests()).toEqual(attached.map(({ digest }) => digest))
    const [first] = await listOf(repository.referrers(REPOSITORY, IMAGE.descriptor))
    expect(first?.artifactType).toBe(types[0])
    expect(first?.annotations?.['note']).toBe(types[0])
  })

  it('are not listed twice when they are attached again', async () => {
    await attachAll()
    await attachAll()
    expect(await digests()).toHaveLength(2)
  })

  it('survive that another client writes the index at the same time', async () => {
    await restart({ conditions: true })
    const tag = referrersTagOf(IMAGE.descriptor.digest)
    const other = referrerOf(IMAGE.descriptor, 'application/vnd.example.other').descriptor
    const theirs = documentOf({ manifests: [other] }, MEDIA_TYPE.ociIndex)
    let isFirst = true
    server.script = (request) => {
      if (isFirst && request.method === 'PUT' && request.url?.endsWith(tag)) {
        isFirst = false
        server.addManifest(REPOSITORY, tag, theirs.content, MEDIA_TYPE.ociIndex)
      }
      return false
    }
    await attachAll()
    expect(await digests()).toHaveLength(3)
  })

  it('are attached by several at once without one being lost', async () => {
    const several = Array.from({ length: 8 }, (_, i) => referrerOf(IMAGE.descriptor, `a/b${i}`))
    await Promise.all(
      several.map((referrer) =>
        repository.attach(
          referrer,
          { repository: REPOSITORY, subject: IMAGE.descriptor },
          opener(empty.content),
        ),
      ),
    )
    expect(await digests()).toHaveLength(8)
    // One after the other: none of them overwrites another, which would have to be written again.
    const writes = server.requests.filter((line) => /^PUT .*\/manifests\/sha256-/.test(line))
    expect(writes).toHaveLength(8)
  })

  it('give up on an index that others keep changing', async () => {
    await restart({ conditions: true })
    server.script = (request, response) => {
      if (request.method !== 'PUT' || !request.url?.includes('sha256-')) return false
      refuse(response, 412, 'PRECONDITION_FAILED')
      return true
    }
    expect(await codeOf(attachAll())).toBe('CONFLICT')
  })

  it('keep unknown members of the index', async () => {
    const tag = referrersTagOf(IMAGE.descriptor.digest)
    const entry = { ...LAYER.descriptor, mediaType: MEDIA_TYPE.ociManifest, 'x-own': 1 }
    const index = documentOf({ manifests: [entry] }, MEDIA_TYPE.ociIndex)
    server.addManifest(REPOSITORY, tag, index.content, MEDIA_TYPE.ociIndex)
    await attachAll()
    const { content } = server.manifests.get(`${REPOSITORY}/${tag}`) ?? { content: '' }
    expect(content.toString()).toContain('"x-own":1')
  })

  it('fall back to the tag when the API answers with a page', async () => {
    await attachAll()
    server.script = (request, response) => {
      if (!request.url?.includes('/referrers/')) return false
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
      return true
    }
    expect(await digests()).toHaveLength(2)
  })

  it('refuse a manifest that refers to something else', async () => {
    const referrer = referrerOf(LAYER.descriptor, 'a/b')
    const attach = repository.attach(
      referrer,
      { repository: REPOSITORY, subject: IMAGE.descriptor },
      opener(empty.content),
    )
    expect(await codeOf(attach)).toBe('INTEGRITY')
  })

  it('never list their subject, so that no walk goes in circles', async () => {
    const tag = referrersTagOf(IMAGE.descriptor.digest)
    const index = documentOf(
      { manifests: [IMAGE.descriptor, IMAGE.descriptor] },
      MEDIA_TYPE.ociIndex,
    )
    server.addManifest(REPOSITORY, tag, index.content, MEDIA_TYPE.ociIndex)
    expect(isIndexMediaType(index.descriptor.mediaType)).toBe(true)
    expect(await digests()).toEqual([])
  })
})
