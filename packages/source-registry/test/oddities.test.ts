import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { MEDIA_TYPE } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, IMAGE, LAYER, listOf, noise, opener } from './images.ts'
import { MemoryRegistry, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
const V1 = { name: REPOSITORY, tag: 'v1' }
let server: MemoryRegistry
let repository: RegistryRepository
let delays: number[]

beforeEach(async () => {
  server = await MemoryRegistry.start()
  delays = []
  const delay = async (ms: number): Promise<void> => void delays.push(ms)
  repository = openRepository(server.host, REPOSITORY, { partBytes: 1000, retry: { delay } })
  server.addManifest(REPOSITORY, 'v1', IMAGE.content, MEDIA_TYPE.ociManifest)
})

afterEach(async () => {
  await repository.close()
  await server.stop()
})

const path = `/v2/${REPOSITORY}`

/** Answers one kind of request itself. */
function answering(
  method: string,
  part: string,
  status: number,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
  body?: Uint8Array | string,
): Script {
  return (request, response) => {
    if (request.method !== method || !request.url?.includes(part)) return false
    response.writeHead(status, headers as Record<string, string>).end(body)
    return true
  }
}

describe('a manifest', () => {
  const size = String(IMAGE.content.byteLength)
  const { digest, mediaType } = IMAGE.descriptor

  it.each([
    ['capitals', digest.toUpperCase()],
    ['capitals in its hex', `sha256:${digest.slice(7).toUpperCase()}`],
    ['the same digest twice', `${digest}, ${digest}`],
  ])('whose digest is said in %s is that manifest', async (_title, said) => {
    const headers = { 'docker-content-digest': said, 'content-type': mediaType }
    for (const method of ['HEAD', 'GET']) {
      server.script = answering(
        method,
        '/manifests/',
        200,
        { ...headers, 'content-length': size },
        method === 'GET' ? IMAGE.content : undefined,
      )
      expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
      expect(await repository.resolve({ name: REPOSITORY, digest })).toEqual(IMAGE.descriptor)
    }
  })

  it('of two digests in one header is none', async () => {
    const said = `${digest}, sha256:${'0'.repeat(64)}`
    const headers = { 'docker-content-digest': said, 'content-type': mediaType }
    server.script = answering('GET', '/manifests/', 200, headers, IMAGE.content)
    expect(await codeOf(repository.fetch(IMAGE.descriptor))).toBe('INTEGRITY')
  })

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('that comes as %s, unasked, is read', async (encoding, compress) => {
    const content = compress(IMAGE.content)
    server.script = (request, response) => {
      response.writeHead(200, {
        'content-type': mediaType,
        'content-encoding': encoding,
        'content-length': content.byteLength,
        'docker-content-digest': digest,
      })
      response.end(request.method === 'HEAD' ? undefined : content)
      return true
    }
    expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
  })

  it.each(['gzip', 'deflate', 'br'])(
    'that is no %s, as it is called, is none',
    async (encoding) => {
      server.script = answering('GET', '/', 200, { 'content-encoding': encoding }, IMAGE.content)
      expect(await codeOf(repository.fetch(IMAGE.descriptor))).toBe('INTEGRITY')
    },
  )

  it('that is a bomb of gzip ends at the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    server.script = answering('GET', '/', 200, { 'content-encoding': 'gzip' }, bomb)
    expect(await codeOf(repository.fetch(IMAGE.descriptor))).toBe('INTEGRITY')
  })
})

describe('a limit', () => {
  it('that says until when as a date is waited for', async () => {
    const until = new Date(Date.now() + 60_000).toUTCString()
    let isLimited = true
    server.script = (_request, response) => {
      if (!isLimited) return false
      isLimited = false
      response.writeHead(429, { 'retry-after': until }).end('<html>slow down</html>')
      return true
    }
    expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
    expect(delays).toHaveLength(1)
    expect(delays[0]).toBeGreaterThan(2000)
  })
})

describe('tags', () => {
  it.each(['{"name":"team/app","tags":null}', '{"name":"team/app"}', '{"tags":[]}'])(
    'that are %s are none',
    async (body) => {
      server.script = answering('GET', '/tags/', 200, { 'content-type': 'text/plain' }, body)
      expect(await listOf(repository.tags(REPOSITORY))).toEqual([])
    },
  )

  it.each([
    `<${path}/tags/list?last=a>; rel="prev", <?n=1&last=v1>; rel="last next"`,
    `<ftp://elsewhere.example${path}/tags/list?last=v1>; title="a, <b>"; rel=next`,
    `<${path}/tags/list?last=v1#part>; rel="next"; rel="first"`,
  ])('follow the link %s', async (link) => {
    server.script = (request, response) => {
      const isNext = request.url?.includes('last=v1') ?? false
      response.writeHead(200, isNext ? {} : { link })
      response.end(JSON.stringify({ tags: isNext ? ['v2'] : ['v1'] }))
      return true
    }
    expect(await listOf(repository.tags(REPOSITORY))).toEqual(['v1', 'v2'])
  })
})

describe('an upload', () => {
  const large = blobOf(noise(2500))

  it.each([
    ['small', LAYER],
    ['large', large],
  ])('that is opened and ended with other successes is one: %s', async (_title, blob) => {
    for (const status of [200, 202]) {
      server.blobs.clear()
      server.script = (request, response) => {
        const writeHead = response.writeHead.bind(response)
        const isPost = request.method === 'POST'
        if (!isPost && request.method !== 'PUT') return false
        response.writeHead = (given: number, ...rest: unknown[]) => {
          const [headers = {}] = rest
          const { 'docker-content-digest': _, ...kept } = headers as Record<string, string>
          return writeHead(given < 300 ? status : given, kept)
        }
        return false
      }
      await repository.put(blob.descriptor, opener(blob.content))
      expect(server.blobs.has(blob.descriptor.digest)).toBe(true)
    }
  })

  it.each([200, 202])('that is ended with %i and is not there has failed', async (status) => {
    server.script = answering('PUT', '/blobs/uploads/', status)
    expect(await codeOf(repository.put(LAYER.descriptor, opener(LAYER.content)))).toBe(
      'UNAVAILABLE',
    )
  })

  it('goes to a location with a query, a fragment and another scheme of the same host', async () => {
    server.script = (request, response) => {
      if (request.method !== 'POST') return false
      server.uploads.set('odd', new Uint8Array())
      response.writeHead(202, { location: `${path}/blobs/uploads/odd?a=b%2Fc&d=#part` }).end()
      return true
    }
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(server.requests.at(-1)).toContain('/odd?a=b%2Fc&d=&digest=sha256%3A')
  })
})

describe('a look-up of a blob', () => {
  it('that is answered with a success which says nothing is none: the blob is sent', async () => {
    server.script = (request, response) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(200, { 'transfer-encoding': 'chunked' }).end()
      return true
    }
    expect(await repository.has(LAYER.descriptor)).toBe(false)
  })
})

describe('redirects', () => {
  it('in a loop end', async () => {
    server.script = (request, response) => {
      response.writeHead(307, { location: request.url ?? '/' }).end()
      return true
    }
    expect(await codeOf(repository.resolve(V1))).toBe('UNSUPPORTED')
    expect(server.requests.length).toBeLessThan(20)
  })
})
