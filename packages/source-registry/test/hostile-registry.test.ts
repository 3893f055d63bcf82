import { MEDIA_TYPE } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RegistryClient, type RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, bytesOf, documentOf, IMAGE, LAYER, listOf, noise, opener } from './images.ts'
import { MemoryRegistry, refuse, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
const V1 = { name: REPOSITORY, tag: 'v1' }
let server: MemoryRegistry
let repository: RegistryRepository

beforeEach(async () => {
  server = await MemoryRegistry.start()
  repository = openRepository(server.host, REPOSITORY)
})

afterEach(async () => {
  await repository.close()
  await server.stop()
})

/** Answers every request with these headers and this body. */
function always(
  status: number,
  headers: Record<string, string>,
  body: Uint8Array | string = '',
): Script {
  return (request, response) => {
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body)
    return true
  }
}

async function read(): Promise<Buffer> {
  return bytesOf(await repository.fetch(LAYER.descriptor))
}

describe('content that is not what was asked for is refused', () => {
  it('a blob of another digest', async () => {
    server.blobs.set(LAYER.descriptor.digest, Buffer.from('b layer'))
    expect(await codeOf(read())).toBe('INTEGRITY')
  })

  it('a blob that is announced longer', async () => {
    server.blobs.set(LAYER.descriptor.digest, noise(100))
    expect(await codeOf(read())).toBe('INTEGRITY')
  })

  it('a blob that ends early, each time', async () => {
    server.script = (_request, response) => {
      response.writeHead(200, { 'content-length': LAYER.descriptor.size }).flushHeaders()
      response.destroy()
      return true
    }
    expect(await codeOf(read())).toBe('UNAVAILABLE')
  })

  it('a range that is not the one that was asked for', async () => {
    server.script = always(206, { 'content-range': 'bytes 0-6/7' }, 'a layer')
    const body = repository.fetch(LAYER.descriptor, { range: { start: 2 } })
    expect(await codeOf(body)).toBe('INTEGRITY')
  })

  it('a manifest of another digest', async () => {
    server.script = always(200, { 'content-type': MEDIA_TYPE.ociManifest }, IMAGE.content)
    const { digest } = LAYER.descriptor
    const fetch = repository.fetch({ ...IMAGE.descriptor, digest })
    expect(await codeOf(fetch)).toBe('INTEGRITY')
  })

  it('a manifest of another size than its descriptor says', async () => {
    server.addManifest(REPOSITORY, 'v1', IMAGE.content, MEDIA_TYPE.ociManifest)
    expect(await codeOf(repository.fetch({ ...IMAGE.descriptor, size: 1 }))).toBe('INTEGRITY')
  })

  it('a digest header that contradicts the digest', async () => {
    const { digest } = LAYER.descriptor
    server.script = always(
      200,
      { 'content-type': MEDIA_TYPE.ociManifest, 'docker-content-digest': digest },
      IMAGE.content,
    )
    const wanted = { name: REPOSITORY, digest: IMAGE.descriptor.digest }
    expect(await codeOf(repository.resolve(wanted))).toBe('INTEGRITY')
    expect(await codeOf(repository.resolve(V1))).toBe('INTEGRITY')
  })

  it('a manifest that is an index by its header', async () => {
    server.script = always(200, { 'content-type': MEDIA_TYPE.ociIndex }, IMAGE.content)
    expect(await codeOf(repository.fetch(IMAGE.descriptor))).toBe('INTEGRITY')
  })

  it('a manifest and index at once', async () => {
    const both = documentOf({ config: {}, layers: [], manifests: [] })
    server.addManifest(REPOSITORY, 'v1', both.content, MEDIA_TYPE.ociManifest)
    expect(await codeOf(repository.fetch(both.descriptor))).toBe('INTEGRITY')
  })

  it('an answer to a push that names another digest', async () => {
    server.script = (request, response) => {
      if (request.method !== 'PUT') return false
      response.writeHead(201, { 'docker-content-digest': LAYER.descriptor.digest }).end()
      return true
    }
    expect(await codeOf(repository.tag(IMAGE, V1))).toBe('INTEGRITY')
  })
})

describe('schema 1 is refused', () => {
  it('by its media type', async () => {
    server.script = always(200, { 'content-type': MEDIA_TYPE.dockerManifestSchema1Signed }, '{}')
    expect(await codeOf(repository.resolve(V1))).toBe('UNSUPPORTED')
  })

  it('by its content', async () => {
    server.script = always(200, {}, '{"schemaVersion":1,"fsLayers":[]}')
    expect(await codeOf(repository.resolve(V1))).toBe('UNSUPPORTED')
  })
})

describe('redirects', () => {
  const redirect =
    (location: string, status = 307): Script =>
    (request, response) => {
      if (!request.url?.startsWith('/v2/')) return false
      response.writeHead(status, { location }).end()
      return true
    }

  it.each([301, 302, 303, 307, 308])('are followed without credentials (%i)', async (status) => {
    const storage = await MemoryRegistry.start()
    storage.script = always(200, {}, LAYER.content)
    server.script = redirect(`http://${storage.host}/signed?key=1`, status)
    const own = openRepository(server.host, REPOSITORY, { authorizer: () => PASSWORD })
    expect(await bytesOf(await own.fetch(LAYER.descriptor))).toEqual(LAYER.content)
    expect(server.authorizations).toEqual(['Basic c2VjcmV0'])
    expect(storage.authorizations).toEqual([undefined])
    await own.close()
    await storage.stop()
  })

  it('in a loop end with an error', async () => {
    server.script = redirect('/v2/again')
    expect(await codeOf(read())).toBe('UNSUPPORTED')
    expect(server.requests).toHaveLength(6)
  })

  it.each(['', 'file:///etc/passwd', 'http://', 'http://[::'])('to %j are refused', async (to) => {
    server.script = redirect(to)
    expect(await codeOf(read())).not.toBe('none')
  })

  it('to a link-local address are refused, at any registry', async () => {
    for (const host of ['169.254.169.254', '[fe80::1]', '[::ffff:169.254.169.254]', '0xa9fea9fe']) {
      server.script = redirect(`http://${host}/latest`)
      expect(await codeOf(read())).toBe('FORBIDDEN')
    }
  })

  it('do not hand a login to a stranger who asks for it', async () => {
    const thief = await MemoryRegistry.start()
    thief.script = always(401, { 'www-authenticate': 'Basic realm="x"' })
    server.script = redirect(`http://${thief.host}/`)
    const own = openRepository(server.host, REPOSITORY, { authorizer: () => PASSWORD })
    expect(await codeOf(own.fetch(LAYER.descriptor))).toBe('UNAUTHORIZED')
    expect(thief.authorizations).toEqual([undefined])
    await own.close()
    await thief.stop()
  })
})

describe('locations', () => {
  const client = new RegistryClient({ host: 'registry.example.com', env: {} })
  const base = new URL('https://registry.example.com/v2/')

  it('on plain HTTP behind TLS are refused', () => {
    expect(() => client.locate('http://other.example.com/', base, 'x')).toThrow('plain HTTP')
  })

  it('of a registry that does not know of its TLS are corrected', () => {
    const url = client.locate('http://registry.example.com/v2/a?b=c', base, 'x')
    expect(url.href).toBe('https://registry.example.com/v2/a?b=c')
  })

  it('carry no credentials', () => {
    const url = client.locate('https://user:password@other.example.com/', base, 'x')
    expect(url.href).toBe('https://other.example.com/')
  })
})

describe('lists', () => {
  const page = (link: string): Script =>
    always(200, { link: `<${link}>; rel="next"` }, '{"tags":["v1"]}')

  it('that lead in circles are refused', async () => {
    server.script = page('/v2/team/app/tags/list?n=1000')
    expect(await codeOf(listOf(repository.tags(REPOSITORY)))).toBe('INTEGRITY')
  })

  it('that lead to another host are refused', async () => {
    server.script = page('http://127.0.0.1:1/v2/team/app/tags/list')
    expect(await codeOf(listOf(repository.tags(REPOSITORY)))).toBe('INTEGRITY')
  })

  it.each(['{"tags":["../x"]}', '{"tags":[1]}', '{"tags":{}}', 'null', '<html>'])(
    'with %s are refused',
    async (body) => {
      server.script = always(200, {}, body)
      expect(await codeOf(listOf(repository.tags(REPOSITORY)))).toBe('INTEGRITY')
    },
  )

  it('of nothing are empty', async () => {
    server.script = always(200, {}, '{"name":"team/app","tags":null}')
    expect(await listOf(repository.tags(REPOSITORY))).toEqual([])
  })
})

describe('failures', () => {
  it.each([
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [429, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [418, 'UNSUPPORTED'],
  ])('%i is %s', async (status, code) => {
    server.script = always(status, {})
    expect(await codeOf(read())).toBe(code)
  })

  it('say what the registry says, on one line', async () => {
    server.script = (_request, response) => {
      refuse(response, 403, 'DENIED', 'quota\u001b[31m\nexceeded')
      return true
    }
    await expect(read()).rejects.toThrow(/: quota \[31m exceeded$/)
  })

  it('are repeated when they pass, as late as the registry asks', async () => {
    const delays: number[] = []
    const retry = {
      delay: (ms: number): Promise<void> => {
        delays.push(ms)
        return Promise.resolve()
      },
    }
    const own = openRepository(server.host, REPOSITORY, { retry })
    server.blobs.set(LAYER.descriptor.digest, Buffer.from(LAYER.content))
    server.script = (_request, response) => {
      if (server.requests.length > 1) return false
      response.writeHead(429, { 'retry-after': '7' }).end()
      return true
    }
    expect(await bytesOf(await own.fetch(LAYER.descriptor))).toEqual(LAYER.content)
    expect(delays).toEqual([7000])
    await own.close()
  })

  it('of a registry that falls silent end after the time for that', async () => {
    const retry = { attempts: 2, stallMs: 60_000 }
    const own = openRepository(server.host, REPOSITORY, { retry })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    server.script = () => {
      void vi.advanceTimersByTimeAsync(60_001)
      return true
    }
    expect(await codeOf(own.resolve(V1))).toBe('UNAVAILABLE')
    vi.useRealTimers()
    expect(server.requests).toHaveLength(2)
    await own.close()
  })

  it('of an upload that leads nowhere name it', async () => {
    const { descriptor, content } = blobOf(noise(10))
    server.script = (request, response) => {
      if (request.method !== 'POST') return false
      response.writeHead(202).end()
      return true
    }
    expect(await codeOf(repository.put(descriptor, opener(content)))).toBe('INTEGRITY')
  })

  it('of an upload that the registry forgets again and again end', async () => {
    const { descriptor, content } = blobOf(noise(3000))
    const own = openRepository(server.host, REPOSITORY, { partBytes: 1000 })
    server.script = (request) => {
      if (request.method === 'PUT') server.uploads.clear()
      return false
    }
    expect(await codeOf(own.put(descriptor, opener(content)))).toBe('UNAVAILABLE')
    await own.close()
  })
})

describe('warnings', () => {
  it('are reported once each', async () => {
    const warnings: string[] = []
    const own = openRepository(server.host, REPOSITORY, {
      onNotice: (text) => warnings.push(text),
    })
    const warning = '299 - "say \\"hello\\"", 299 - "this tag is old", 199 - "no"'
    server.script = (_request, response) => {
      response.setHeader('warning', warning)
      return false
    }
    await own.has(LAYER.descriptor)
    await own.has(LAYER.descriptor)
    const says = `the registry ${server.host} says:`
    expect(warnings).toEqual([`${says} say "hello"`, `${says} this tag is old`])
    await own.close()
  })
})

describe('a token service', () => {
  it.each([
    ['http://169.254.169.254/token', 'http://127.0.0.1'],
    ['http://auth.example.com/token', 'https://registry.example.com'],
    ['https://10.0.0.1/token', 'https://registry.example.com'],
  ])('at %s is not asked for %s', async (realm, of) => {
    const { host, protocol } = new URL(of)
    const client = new RegistryClient({
      host,
      plainHttp: protocol === 'http:',
      env: {},
      authorizer: (fetch) => ({
        async authorization() {
          await fetch(new URL(realm), { method: 'GET', headers: {} })
          return undefined
        },
        challenged: () => Promise.resolve(false),
      }),
    })
    const call = { method: 'GET', to: '/v2/', what: 'it', expect: [200], scopes: [] } as const
    expect(await codeOf(client.ask(call))).toBe('FORBIDDEN')
    await client.close()
  })
})

describe('an index that holds itself', () => {
  it('is found out by its digest', async () => {
    const { digest } = LAYER.descriptor
    const self = documentOf(
      { manifests: [{ mediaType: MEDIA_TYPE.ociIndex, digest, size: 100 }] },
      MEDIA_TYPE.ociIndex,
    )
    server.script = always(200, { 'content-type': MEDIA_TYPE.ociIndex }, self.content)
    const { size, mediaType } = self.descriptor
    expect(await codeOf(repository.fetch({ digest, size, mediaType }))).toBe('INTEGRITY')
  })
})

describe('a challenge', () => {
  it('is answered once per call, and what answers it stays with the registry', async () => {
    let challenges = 0
    const own = openRepository(server.host, REPOSITORY, {
      authorizer: () => ({
        authorization: () => Promise.resolve(challenges === 0 ? undefined : 'Bearer t'),
        challenged: (header, scopes) => {
          challenges += 1
          expect([header, scopes]).toEqual(['Bearer realm="x"', ['repository:team/app:pull,push']])
          return Promise.resolve(true)
        },
      }),
    })
    server.script = always(401, { 'www-authenticate': 'Bearer realm="x"' })
    expect(await codeOf(own.has(LAYER.descriptor))).toBe('UNAUTHORIZED')
    expect(server.authorizations).toEqual([undefined, 'Bearer t'])
    expect(challenges).toBe(1)
    await own.close()
  })
})

const PASSWORD = {
  authorization: () => Promise.resolve('Basic c2VjcmV0'),
  challenged: () => Promise.resolve(true),
}
