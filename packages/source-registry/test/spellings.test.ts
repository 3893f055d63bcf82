import { documentWith, MEDIA_TYPE } from '@s3lo/core'
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
} from './images.ts'
import { MemoryRegistry, refuse, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
const V1 = { name: REPOSITORY, tag: 'v1' }
let server: MemoryRegistry
let repository: RegistryRepository
let notices: string[]

beforeEach(async () => {
  server = await MemoryRegistry.start()
  notices = []
  repository = openRepository(server.host, REPOSITORY, {
    onNotice: (message) => notices.push(message),
    partBytes: 1000,
  })
  server.addManifest(REPOSITORY, 'v1', IMAGE.content, MEDIA_TYPE.ociManifest)
})

afterEach(async () => {
  await repository.close()
  await server.stop()
})

const sent = (line: RegExp): number => server.requests.filter((one) => line.test(one)).length

describe('HEAD of a manifest', () => {
  const headed =
    (status: number): Script =>
    (request, response) => {
      if (request.method !== 'HEAD') return false
      response.writeHead(status).end()
      return true
    }

  it.each([400, 401, 403, 404, 405, 406, 500, 501])(
    'that is answered with %i counts for nothing where GET gives it',
    async (status) => {
      server.script = headed(status)
      expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
      expect(await repository.has(IMAGE.descriptor)).toBe(true)
    },
  )

  it('is not sent any more where it was wrong, and a note says what was seen', async () => {
    server.script = headed(403)
    await repository.resolve(V1)
    await repository.resolve(V1)
    expect(sent(/^HEAD/)).toBe(1)
    expect(notices).toEqual([expect.stringContaining('refuses HEAD')])
  })

  it('is believed once it was right, with any text', async () => {
    await repository.resolve(V1)
    server.requests.length = 0
    for (const tag of ['v2', 'v3']) {
      expect(await codeOf(repository.resolve({ ...V1, tag }))).toBe('NOT_FOUND')
    }
    expect(server.requests).toEqual([
      'HEAD /v2/team/app/manifests/v2',
      'HEAD /v2/team/app/manifests/v3',
    ])
  })

  it('is believed once GET has said the same', async () => {
    for (const tag of ['v2', 'v3', 'v4']) {
      expect(await codeOf(repository.resolve({ ...V1, tag }))).toBe('NOT_FOUND')
    }
    expect(sent(/^GET/)).toBe(1)
  })

  it('with an empty digest leaves the digest to the content', async () => {
    server.script = (_request, response) => {
      const writeHead = response.writeHead.bind(response)
      response.writeHead = ((status: number, headers: Record<string, string> = {}) =>
        writeHead(status, { ...headers, 'docker-content-digest': '' })) as typeof writeHead
      return false
    }
    expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    await repository.tag(IMAGE, { ...V1, tag: 'v2' })
    expect(await repository.resolve({ ...V1, tag: 'v2' })).toEqual(IMAGE.descriptor)
  })
})

it('a manifest is asked for as an artifact manifest too, which some registries hide otherwise', async () => {
  const asked: (string | undefined)[] = []
  server.script = (request) => {
    asked.push(request.headers.accept)
    return false
  }
  await repository.resolve(V1)
  await repository.fetch(IMAGE.descriptor)
  expect(asked).toHaveLength(2)
  for (const accept of asked) {
    expect(accept?.split(', ')).toContain('application/vnd.oci.artifact.manifest.v1+json')
  }
})

describe('an upload that starts elsewhere', () => {
  const large = blobOf(noise(4500))

  it.each([
    [307, false],
    [308, false],
    [307, true],
    [308, true],
  ])('after %i continues from where it landed (another host: %s)', async (status, isOther) => {
    const other = await MemoryRegistry.start()
    const landed = isOther ? other : server
    const authorizer = () => ({
      authorization: () => Promise.resolve('Bearer secret'),
      challenged: () => Promise.resolve(false),
    })
    const pushing = openRepository(server.host, REPOSITORY, { partBytes: 1000, authorizer })
    server.script = (request, response) => {
      if (request.method !== 'POST' || request.url?.startsWith('/v2/moved')) return false
      const start = isOther ? `http://${other.host}` : ''
      const location = `${start}/v2/moved/app/blobs/uploads/`
      response.writeHead(status, { location }).end()
      return true
    }
    for (const { descriptor, content } of [large, LAYER]) {
      await pushing.put(descriptor, opener(content))
      expect(landed.blobs.has(descriptor.digest)).toBe(true)
    }
    expect(other.authorizations.filter((one) => one !== undefined)).toEqual([])
    await pushing.close()
    await other.stop()
  })

  it('again and again ends', async () => {
    server.script = (request, response) => {
      if (request.method !== 'POST') return false
      response.writeHead(307, { location: request.url ?? '' }).end()
      return true
    }
    const push = repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(await codeOf(push)).toBe('UNSUPPORTED')
  })
})

describe('a blob that is too large for the registry', () => {
  it.each([
    ['chunks', 200_000],
    ['one request', 8_000_000],
  ])('ends with what it said before it closed the connection: %s', async (_title, partBytes) => {
    const large = blobOf(noise(4_000_000))
    const pushing = openRepository(server.host, REPOSITORY, { partBytes, memoryBytes: 9_000_000 })
    let isClosed = false
    server.early = (request, response) => {
      if (request.method !== 'PATCH' && request.method !== 'PUT') return false
      isClosed = true
      response.writeHead(413, { connection: 'close' }).end(() => request.socket.destroy())
      return true
    }
    const push = pushing.put(large.descriptor, opener(large.content))
    expect(await codeOf(push)).toBe('UNSUPPORTED')
    expect(isClosed).toBe(true)
    expect(sent(/^(PUT|PATCH)/)).toBeLessThan(4)
    await pushing.close()
  })
})

describe('a list of tags', () => {
  const page = (tags: readonly string[], headers: Record<string, string>): Script => {
    return (_request, response) => {
      response.writeHead(200, headers).end(JSON.stringify({ tags }))
      return true
    }
  }

  it.each([
    ['without angle brackets', (next: string) => `${next}; rel="next"`],
    [
      'to a name of its own network',
      (next: string) => `<http://harbor-core:80${next}>; rel="next"`,
    ],
    ['to that name by TLS', (next: string) => `<https://harbor.internal${next}>; rel=next`],
  ])('with a link %s is followed', async (_title, link) => {
    server.script = (request, response) => {
      const isSecond = request.url?.includes('last=v1')
      const headers = isSecond ? {} : { link: link('/v2/team/app/tags/list?n=1&last=v1') }
      return page([isSecond ? 'v2' : 'v1'], headers)(request, response, new Uint8Array())
    }
    expect(await listOf(repository.tags(REPOSITORY))).toEqual(['v1', 'v2'])
  })

  it('with ever new pages of the same tags ends', async () => {
    server.script = (request, response, body) => {
      const next = `/v2/team/app/tags/list?n=1000&page=${server.requests.length}`
      return page(['v1', 'v2'], { link: `<${next}>; rel="next"` })(request, response, body)
    }
    expect(await listOf(repository.tags(REPOSITORY))).toEqual(['v1', 'v2'])
    expect(server.requests.length).toBeLessThan(20)
  })

  it.each([
    ['names', 400, { 'oci-tag-limit': '50' }, 'n=50'],
    ['does not name', 413, {}, 'n=100'],
  ])(
    'is asked for by as many as the registry allows, which it %s',
    async (_t, status, headers, n) => {
      server.script = (request, response) => {
        if (!request.url?.includes('n=1000')) return false
        response.writeHead(status, headers).end()
        return true
      }
      expect(await listOf(repository.tags(REPOSITORY))).toEqual(['v1'])
      expect(server.requests.at(-1)).toContain(n)
    },
  )

  it('is asked for without a count where every one is refused', async () => {
    server.script = (request, response) => {
      if (!request.url?.includes('n=')) return false
      refuse(response, 400, 'UNSUPPORTED')
      return true
    }
    expect(await listOf(repository.tags(REPOSITORY))).toEqual(['v1'])
  })
})

it('a tag of sha512 is set by itself where the registry takes none in the query', async () => {
  const { content } = documentOf({ config: CONFIG.descriptor, layers: [] })
  const { descriptor } = blobOf(content, MEDIA_TYPE.ociManifest, 'sha512')
  server.script = (request, response) => {
    if (!request.url?.includes('?tag=')) return false
    response.writeHead(414, { 'oci-tag-limit': '0' }).end()
    return true
  }
  await repository.tag(documentWith(descriptor, content), { ...V1, tag: 'v5' })
  expect(server.manifests.has('team/app/v5')).toBe(true)
})

describe('a 401 that asks for nothing', () => {
  const guarded: Script = (request, response) => {
    if (request.headers.authorization === 'Basic dTpw') return false
    response.writeHead(401).end()
    return true
  }
  const opened = (accepted: () => void) =>
    openRepository(server.host, REPOSITORY, {
      authorizer: () => {
        let authorization: string | undefined
        return {
          authorization: () => Promise.resolve(authorization),
          challenged: () => Promise.resolve(false),
          unprompted: () =>
            Promise.resolve({
              authorization: 'Basic dTpw',
              accepted: () => {
                authorization = 'Basic dTpw'
                accepted()
              },
            }),
        }
      },
    })

  it('gets what there is, once, and with every call when that was taken', async () => {
    server.script = guarded
    let times = 0
    const reading = opened(() => (times += 1))
    server.blobs.set(LAYER.descriptor.digest, LAYER.content)
    expect(await bytesOf(await reading.fetch(LAYER.descriptor))).toEqual(Buffer.from(LAYER.content))
    expect(await reading.has(LAYER.descriptor)).toBe(true)
    expect(times).toBe(1)
    expect(server.authorizations).toEqual([undefined, 'Basic dTpw', 'Basic dTpw'])
    await reading.close()
  })

  it('is the last word when that is not taken', async () => {
    server.script = (_request, response) => {
      response.writeHead(401).end()
      return true
    }
    let times = 0
    const reading = opened(() => (times += 1))
    expect(await codeOf(reading.has(LAYER.descriptor))).toBe('UNAUTHORIZED')
    expect(server.requests).toHaveLength(2)
    expect(times).toBe(0)
    await reading.close()
  })
})
