import { connect } from 'node:net'
import { Readable } from 'node:stream'
import {
  digestOf,
  foldSignatures,
  signatureManifest,
  signatureTagOf,
  SIMPLE_SIGNING_TYPE,
} from '@s3lo/core'
import {
  attachReferrer,
  type ImageFixture,
  imageFixture,
  MemoryBackend,
  putImage,
  referrerFixture,
} from '@s3lo/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blobKeyOf } from './support/keys.ts'
import { type Reply, serveBackend, type ServedStore, serveMemory } from './support/served-store.ts'

const layer = Buffer.alloc(300_000, 'layer ')
let image: ImageFixture
let served: ServedStore
let layerPath: string

beforeAll(async () => {
  image = imageFixture({ layers: [layer] })
  served = await serveMemory()
  for (const tag of ['v1', 'v1.0', 'v1-rc', 'v10']) {
    await putImage(served.backend, { name: 'team/app', tag }, image)
  }
  layerPath = `/v2/team/app/blobs/${digestOf(layer)}`
})
afterAll(() => served[Symbol.asyncDispose]())

interface Signatures {
  readonly config: { readonly digest: string }
  readonly layers: readonly { readonly digest: string }[]
}

function errorOf({ body }: Reply): unknown {
  return (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors[0]?.code
}

/** Follows the links from the first page on. */
async function pagesOf(from: ServedStore, first: string): Promise<readonly (readonly string[])[]> {
  const pages: (readonly string[])[] = []
  for (let path: string | undefined = first; path !== undefined;) {
    const { body, headers }: Reply = await from.ask(path)
    const page = JSON.parse(body.toString()) as { tags?: string[]; repositories?: string[] }
    pages.push(page.tags ?? page.repositories ?? [])
    path = /^<([^>]+)>; rel="next"$/.exec(String(headers['link'] ?? ''))?.[1]
  }
  return pages
}

describe('a registry', () => {
  it('says at /v2/ what it is, and that nothing of it is a page', async () => {
    const { status, headers } = await served.ask('/v2/')
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'docker-distribution-api-version': 'registry/2.0',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    })
  })

  it.each(['v1', 'digest'])('gives a manifest by %s', async (reference) => {
    const { descriptor, content } = image.root
    const path = `/v2/team/app/manifests/${reference === 'v1' ? 'v1' : descriptor.digest}`
    for (const method of ['GET', 'HEAD', 'GET']) {
      const { status, headers, body } = await served.ask(path, { method })
      expect(status).toBe(200)
      expect(headers).toMatchObject({
        'content-type': descriptor.mediaType,
        'content-length': `${descriptor.size}`,
        'docker-content-digest': descriptor.digest,
        etag: `"${descriptor.digest}"`,
      })
      expect(body.equals(method === 'GET' ? Buffer.from(content) : Buffer.alloc(0))).toBe(true)
    }
  })

  it('answers 304 to a client that has the manifest', async () => {
    const { digest } = image.root.descriptor
    const headers = { 'if-none-match': `"${digest}"` }
    expect((await served.ask('/v2/team/app/manifests/v1', { headers })).status).toBe(304)
  })

  it('sees at once what another writer does to a tag that it has in memory', async () => {
    const path = '/v2/moving/manifests/v1'
    const next = imageFixture({ layers: ['next'] })
    await putImage(served.backend, { name: 'moving', tag: 'v1' }, image)
    expect((await served.ask(path)).headers['docker-content-digest']).toBe(
      image.root.descriptor.digest,
    )
    await putImage(served.backend, { name: 'moving', tag: 'v1' }, next)
    expect((await served.ask(path)).headers['docker-content-digest']).toBe(
      next.root.descriptor.digest,
    )
    await served.backend.delete(['manifests/moving/v1/manifest.json'])
    expect((await served.ask(path)).status).toBe(404)
  })

  it('knows no manifest that is not there', async () => {
    const missing = await served.ask('/v2/team/app/manifests/v2')
    expect([missing.status, errorOf(missing)]).toEqual([404, 'MANIFEST_UNKNOWN'])
  })

  it('gives a blob whole, and what of it is asked for', async () => {
    const whole = await served.ask(layerPath)
    expect([whole.status, whole.body.equals(layer)]).toEqual([200, true])
    const head = await served.ask(layerPath, { method: 'HEAD' })
    expect(head.headers['content-length']).toBe(`${layer.byteLength}`)
    const part = await served.ask(layerPath, { headers: { range: 'bytes=100-299' } })
    expect([part.status, part.headers['content-range']]).toEqual([206, 'bytes 100-299/300000'])
    expect(part.body.equals(layer.subarray(100, 300))).toBe(true)
    const none = await served.ask(layerPath, { headers: { range: 'bytes=300000-' } })
    expect([none.status, none.headers['content-range']]).toEqual([416, 'bytes */300000'])
  })

  it.each([
    [undefined, 307],
    ['bytes=100-299', 307],
    ['bytes=100-', 307],
    ['bytes=-100', 206],
    ['bytes=0-1,5-6', 200],
    ['items=0-1', 200],
    ['bytes=300000-', 416],
    ['bytes=-0', 416],
  ])(
    'sends to the store who asks for what every store reads alike: %s is %s',
    async (range, status) => {
      const address = 'https://store.example/blob?signature'
      const backend = Object.assign(new MemoryBackend(), {
        presignGet: async () => new URL(address),
      })
      await putImage(backend, { name: 'team/app', tag: 'v1' }, image)
      const redirect = { mode: 'always', expiresInSeconds: 60 } as const
      const redirecting = await serveBackend(backend, { redirect })
      const reply = await redirecting.ask(
        layerPath,
        range === undefined ? {} : { headers: { range } },
      )
      expect(reply.status).toBe(status)
      expect(reply.headers.location).toBe(status === 307 ? address : undefined)
      if (status === 307) expect(reply.headers['docker-content-digest']).toBe(digestOf(layer))
      const head = await redirecting.ask(layerPath, { method: 'HEAD' })
      expect([head.status, head.headers['content-length']]).toEqual([200, `${layer.byteLength}`])
      await redirecting[Symbol.asyncDispose]()
    },
  )

  it('gives a blob of another repository to none that does not have it', async () => {
    const elsewhere = layerPath.replace('team/app', 'team/other')
    const reply = await served.ask(elsewhere)
    expect([reply.status, errorOf(reply)]).toEqual([404, 'BLOB_UNKNOWN'])
  })

  it('gives a browser a file', async () => {
    const { headers } = await served.ask(layerPath, { headers: { accept: 'text/html' } })
    expect(headers['content-disposition']).toBe('attachment')
  })

  it.each(['POST', 'PUT', 'OPTIONS'])('refuses %s of a blob', async (method) => {
    const reply = await served.ask(layerPath, { method })
    expect([reply.status, errorOf(reply)]).toEqual([405, 'UNSUPPORTED'])
  })

  it('lists tags in the order of their bytes, in pages', async () => {
    const all = await served.ask('/v2/team/app/tags/list')
    expect(JSON.parse(all.body.toString())).toEqual({
      name: 'team/app',
      tags: ['v1', 'v1-rc', 'v1.0', 'v10'],
    })
    expect(all.headers['link']).toBeUndefined()
    const page = await served.ask('/v2/team/app/tags/list?n=2&last=v1')
    expect(JSON.parse(page.body.toString())).toMatchObject({ tags: ['v1-rc', 'v1.0'] })
    expect(page.headers['link']).toBe('</v2/team/app/tags/list?n=2&last=v1.0>; rel="next"')
    const none = await served.ask('/v2/team/app/tags/list?n=0')
    expect([JSON.parse(none.body.toString()), none.headers['link']]).toEqual([
      { name: 'team/app', tags: [] },
      undefined,
    ])
  })

  it('lists tags and nested repositories whole in pages of every size', async () => {
    const nested = await serveMemory()
    const repositories = ['app', 'app-1', 'app/v1', 'app/v1.0', 'app/v1/web', 'app1']
    const tags = ['v1', 'v1-rc', 'v1.0', 'v10']
    for (const name of repositories) {
      for (const tag of tags) await putImage(nested.backend, { name, tag }, image)
    }
    for (let n = 1; n <= repositories.length + 1; n++) {
      expect((await pagesOf(nested, `/v2/_catalog?n=${n}`)).flat()).toEqual(repositories)
      for (const name of repositories) {
        const pages = await pagesOf(nested, `/v2/${name}/tags/list?n=${n}`)
        expect(pages.flat()).toEqual(tags)
        expect(pages.slice(0, -1).every((page) => page.length === n)).toBe(true)
      }
    }
    await nested[Symbol.asyncDispose]()
  })

  it('lists the repositories that a client may pull, in pages', async () => {
    const hidden = await serveMemory({
      authorize: () => ({
        kind: 'granted',
        principal: {
          name: 'alice',
          may: ({ repository }) => repository?.startsWith('x/') !== true,
          pullsAll: false,
        },
      }),
    })
    for (const name of ['a', 'x/1', 'x/2', 'x/3', 'y', 'z']) {
      await putImage(hidden.backend, { name, tag: 'v1' }, image)
    }
    const page = await hidden.ask('/v2/_catalog?n=1&last=a')
    expect(JSON.parse(page.body.toString())).toEqual({ repositories: ['y'] })
    expect(page.headers['link']).toBe('</v2/_catalog?n=1&last=y>; rel="next"')
    const rest = await hidden.ask('/v2/_catalog?last=y')
    expect(JSON.parse(rest.body.toString())).toEqual({ repositories: ['z'] })
    expect(rest.headers['link']).toBeUndefined()
    await hidden[Symbol.asyncDispose]()
  })

  it('knows no repository without tags', async () => {
    const reply = await served.ask('/v2/team/tags/list')
    expect([reply.status, errorOf(reply)]).toEqual([404, 'NAME_UNKNOWN'])
  })

  it('lists referrers, all or those of a type', async () => {
    const { descriptor } = image.root
    const path = `/v2/team/app/referrers/${descriptor.digest}`
    const place = { repository: 'team/app', subject: descriptor }
    const empty = await served.ask(path)
    expect(JSON.parse(empty.body.toString())).toMatchObject({ manifests: [] })
    for (const type of ['x/sbom', 'x/signature']) {
      const { root, content } = referrerFixture(descriptor, type, type)
      await attachReferrer(served.store, root, place, async ({ digest }) =>
        Readable.from([content.get(digest)!]),
      )
    }
    const all = await served.ask(path)
    expect(all.headers['content-type']).toBe('application/vnd.oci.image.index.v1+json')
    expect((JSON.parse(all.body.toString()) as { manifests: [] }).manifests).toHaveLength(2)
    const some = await served.ask(`${path}?artifactType=x/sbom`)
    expect(some.headers['oci-filters-applied']).toBe('artifactType')
    expect(JSON.parse(some.body.toString())).toMatchObject({
      manifests: [{ artifactType: 'x/sbom' }],
    })
  })

  it('gives signatures that refer to an image under the tag that cosign 2 reads', async () => {
    const { descriptor } = image.root
    const tag = signatureTagOf(descriptor.digest) ?? ''
    const path = `/v2/team/app/manifests/${tag}`
    const none = await served.ask(path)
    expect([none.status, errorOf(none)]).toEqual([404, 'MANIFEST_UNKNOWN'])
    const payloads = ['by alice', 'by bob'].map((text) => Buffer.from(text))
    const signatures = payloads.map((payload) =>
      signatureManifest([
        { mediaType: SIMPLE_SIGNING_TYPE, digest: digestOf(payload), size: payload.byteLength },
      ]),
    )
    for (const [i, { document, config }] of signatures.entries()) {
      const folded = foldSignatures(document, descriptor)!
      const place = { repository: 'team/app', subject: descriptor }
      await attachReferrer(served.store, folded, place, async ({ digest }) =>
        Readable.from([digest === digestOf(config) ? config : payloads[i]!]),
      )
      if (i > 0) continue
      const one = await served.ask(path)
      expect(one.body.equals(Buffer.from(document.content))).toBe(true)
      expect(one.headers['docker-content-digest']).toBe(document.descriptor.digest)
    }
    const both = JSON.parse((await served.ask(path)).body.toString()) as Signatures
    expect(both.layers.map(({ digest }) => digest).toSorted()).toEqual(
      payloads.map((payload) => digestOf(payload)).toSorted(),
    )
    for (const { digest } of [both.config, ...both.layers]) {
      expect((await served.ask(`/v2/team/app/blobs/${digest}`)).status).toBe(200)
    }
    // What a client pushes under the tag joins them.
    const carol = Buffer.from('by carol')
    const third = signatureManifest([
      { mediaType: SIMPLE_SIGNING_TYPE, digest: digestOf(carol), size: carol.byteLength },
    ])
    const pushed = { root: third.document, content: new Map([[digestOf(carol), carol]]) }
    await putImage(served.backend, { name: 'team/app', tag }, pushed)
    const three = JSON.parse((await served.ask(path)).body.toString()) as Signatures
    expect(three.layers).toHaveLength(3)
    const elsewhere = await served.ask(`/v2/team/other/manifests/${tag}`)
    expect(elsewhere.status).toBe(404)
  })

  it('ends the connection where the last byte of a blob is wrong', async () => {
    const digest = layerPath.slice(layerPath.lastIndexOf('/') + 1)
    const torn = Buffer.from(layer)
    torn[torn.length - 1] = 0
    const broken = await serveMemory()
    await putImage(broken.backend, { name: 'team/app', tag: 'v1' }, image)
    await broken.backend.put(blobKeyOf(digest), torn)
    await expect(broken.ask(layerPath)).rejects.toThrow(/aborted|hang up/)
    await broken[Symbol.asyncDispose]()
  })

  it('tells clients nothing of what failed, and the observer all', async () => {
    const seen: unknown[] = []
    const broken = await serveMemory({ observe: (exchange) => seen.push(exchange) })
    await broken.backend.put('manifests/a/v1/manifest.json', Buffer.from('{"secret": 1}'))
    const reply = await broken.ask('/v2/a/manifests/v1')
    expect([reply.status, reply.body.includes('secret')]).toEqual([500, false])
    expect(seen).toMatchObject([
      { kind: 'manifest', repository: 'a', reference: 'v1', status: 500, principal: 'anonymous' },
    ])
    expect(seen).toMatchObject([{ error: { code: 'INTEGRITY' } }])
    await broken[Symbol.asyncDispose]()
  })

  it('is still there after a request that is none', async () => {
    const { port } = new URL(served.url)
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.end('nonsense\r\n\r\n'))
      socket.once('close', () => resolve())
      socket.resume()
    })
    expect((await served.ask('/v2/')).status).toBe(200)
  })
})

describe('who may what', () => {
  it('is asked before anything is looked for, and what refuses is the answer', async () => {
    const asked: unknown[] = []
    const guarded = await serveMemory({
      authorize: (_request, access) => {
        asked.push(access)
        return {
          kind: 'refused',
          answer: { status: 401, headers: { 'www-authenticate': 'Basic' } },
        }
      },
    })
    const reply = await guarded.ask('/v2/a/manifests/v1', { method: 'DELETE' })
    expect([reply.status, reply.headers['www-authenticate']]).toEqual([401, 'Basic'])
    expect(asked).toEqual([{ action: 'delete', repository: 'a' }])
    await guarded[Symbol.asyncDispose]()
  })

  it('holds guards for pages too, and no authorization', async () => {
    const guarded = await serveMemory({
      guards: [({ headers }) => (headers.host === 'evil' ? { status: 421 } : undefined)],
      pages: { '/metrics': () => ({ status: 200, body: 'up 1\n' }) },
      authorize: () => ({ kind: 'refused', answer: { status: 401 } }),
    })
    expect((await guarded.ask('/metrics?x')).body.toString()).toBe('up 1\n')
    expect((await guarded.ask('/metrics', { headers: { host: 'evil' } })).status).toBe(421)
    await guarded[Symbol.asyncDispose]()
  })
})
