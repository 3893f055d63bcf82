import { MEDIA_TYPE } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { RegistryClient, type RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { bytesOf, IMAGE, LAYER, listOf, noise } from './images.ts'
import { MemoryRegistry, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
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

/** Answers every request with these headers and a body that never ends. */
function endless(status: number, headers: Record<string, string> = {}): Script {
  return (_request, response) => {
    response.writeHead(status, headers)
    const more = (): void => {
      while (!response.destroyed && response.write(noise(64_000)));
      response.once('drain', more)
    }
    more()
    return true
  }
}

async function read(): Promise<Buffer> {
  return bytesOf(await repository.fetch(LAYER.descriptor))
}

describe('a body without end', () => {
  it('of a blob is refused', async () => {
    server.script = endless(200)
    expect(await codeOf(read())).toBe('INTEGRITY')
  })

  it('of a manifest is refused', async () => {
    server.script = endless(200, { 'content-type': MEDIA_TYPE.ociManifest })
    expect(await codeOf(repository.fetch(IMAGE.descriptor))).toBe('INTEGRITY')
  })

  it('of an error is read as far as errors go', async () => {
    server.script = endless(404)
    expect(await codeOf(read())).toBe('NOT_FOUND')
  })
})

describe('lists', () => {
  it('of a page that never ends are refused', async () => {
    server.script = endless(200)
    expect(await codeOf(listOf(repository.tags(REPOSITORY)))).toBe('INTEGRITY')
  })

  it('without an end are refused before they fill the memory', async () => {
    const padding = ' '.repeat(15 * 1024 * 1024)
    server.script = (_request, response) => {
      const next = `/v2/team/app/tags/list?n=1000&last=v${server.requests.length}`
      const link = `<${next}>; rel="next"`
      response.writeHead(200, { link }).end(`{"tags":["v1"]${padding}}`)
      return true
    }
    expect(await codeOf(listOf(repository.tags(REPOSITORY)))).toBe('INTEGRITY')
    expect(server.requests).toHaveLength(9)
  })

  it('of referrers that never end are refused', async () => {
    server.script = endless(200, { 'content-type': MEDIA_TYPE.ociIndex })
    expect(await codeOf(listOf(repository.referrers(REPOSITORY, IMAGE.descriptor)))).toBe(
      'INTEGRITY',
    )
  })

  it('whose Link never ends are refused', async () => {
    server.script = (_request, response) => {
      response.writeHead(200, { link: '<'.repeat(100_000) }).end('{"tags":["v1"]}')
      return true
    }
    expect(await codeOf(listOf(repository.tags(REPOSITORY)))).not.toBe('none')
  })
})

describe('an answer of a token service', () => {
  it.each([
    [200, 'INTEGRITY'],
    [401, 'INTEGRITY'],
    [500, 'UNAVAILABLE'],
  ])('that never ends is an error (%i)', async (status, code) => {
    const service = await MemoryRegistry.start()
    service.script = endless(status)
    const client = new RegistryClient({
      host: server.host,
      plainHttp: true,
      env: {},
      retry: { delay: () => Promise.resolve(), attempts: 2 },
      authorizer: (fetch) => ({
        async authorization() {
          const url = new URL(`http://${service.host}/token`)
          await fetch(url, { method: 'GET', headers: {} })
          return undefined
        },
        challenged: () => Promise.resolve(false),
      }),
    })
    const call = { method: 'GET', to: '/v2/', what: 'it', expect: [200], scopes: [] } as const
    expect(await codeOf(client.ask(call))).toBe(code)
    await client.close()
    await service.stop()
  })
})
