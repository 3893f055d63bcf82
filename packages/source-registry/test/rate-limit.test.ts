import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isS3loError, type S3loError } from '@s3lo/core/plugin'
import type { RegistryRepository } from '../src/index.ts'
import { formatWait, rateLimitOf } from '../src/rate-limit.ts'
import { IMAGE, LAYER } from './images.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const V1 = { name: 'team/app', tag: 'v1' }

let server: MemoryRegistry
let repository: RegistryRepository
let notices: string[]
let delays: number[]

beforeEach(async () => {
  notices = []
  delays = []
  server = await MemoryRegistry.start()
  server.addManifest('team/app', 'v1', IMAGE.content, IMAGE.descriptor.mediaType)
  repository = openRepository(server.host, 'team/app', {
    onNotice: (message) => notices.push(message),
    retry: {
      delay: (ms) => {
        delays.push(ms)
        return Promise.resolve()
      },
    },
  })
})

afterEach(async () => {
  await repository.close()
  await server.stop()
})

/** Refuses the first `times` requests with these headers, and gives them to the others as well. */
function limit(times: number, headers: Record<string, string>): void {
  server.script = (_request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (server.requests.length > times) return false
    response.writeHead(429).end()
    return true
  }
}

async function failure(): Promise<S3loError> {
  const error: unknown = await repository.resolve(V1).catch((caught: unknown) => caught)
  if (!isS3loError(error)) throw error
  return error
}

describe('a limit of a registry', () => {
  it('is waited for as long as the registry asks', async () => {
    limit(1, { 'retry-after': '60' })
    expect(await repository.resolve(V1)).toEqual(IMAGE.descriptor)
    expect(delays).toEqual([60_000])
    expect(notices).toEqual([`the registry ${server.host} asks to wait 60 s`])
  })

  it('that lasts for longer is an error at once, which says how long and how to log in', async () => {
    limit(99, { 'retry-after': '600' })
    expect(await failure()).toMatchObject({
      code: 'UNAVAILABLE',
      hint: `wait (10 min at most), or log in for a higher limit: s3lo login ${server.host}`,
    })
    expect(server.requests).toHaveLength(1)
    expect(delays).toEqual([])
  })

  it('of Docker Hub is known by its headers, and not asked against for hours', async () => {
    limit(99, { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '0;w=21600' })
    const { message, hint } = await failure()
    expect(message).toContain(`the registry ${server.host} limits requests to 100 in 6 h`)
    expect(hint).toContain(`s3lo login ${server.host}`)
    expect(server.requests).toHaveLength(1)
  })

  it('is told when it is near, once, and an unlimited registry says nothing', async () => {
    limit(0, { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '11;w=21600' })
    await repository.resolve(V1)
    expect(notices).toEqual([])
    limit(0, { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '10;w=21600' })
    await repository.resolve(V1)
    await repository.has(LAYER.descriptor)
    expect(notices).toEqual([
      `the registry ${server.host} allows 10 more of 100 pulls in 6 h; a login may raise this: s3lo login ${server.host}`,
    ])
  })

  it('does not count a look at a tag: it is a HEAD', async () => {
    await repository.resolve(V1)
    expect(server.requests.map((line) => line.split(' ')[0])).toEqual(['HEAD'])
  })
})

describe('rateLimitOf', () => {
  const read = (limitText: string | undefined, remaining: string | undefined) =>
    rateLimitOf({ get: (name) => (name === 'ratelimit-limit' ? limitText : remaining) })

  it.each([
    ['100;w=21600', '76;w=21600', { limit: 100, remaining: 76, windowSeconds: 21_600 }],
    ['100', '0', { limit: 100, remaining: 0, windowSeconds: undefined }],
    ['100 ; w = 60', '1', { limit: 100, remaining: 1, windowSeconds: 60 }],
  ])('reads %j and %j', (limitText, remaining, expected) => {
    expect(read(limitText, remaining)).toEqual(expected)
  })

  it.each([
    [undefined, '1'],
    ['1', undefined],
    ['-1', '1'],
    ['1e9', '1'],
    ['9'.repeat(400), '1'],
    ['100, 100;w=10', '1'],
  ])('takes nothing from %j and %j', (limitText, remaining) => {
    expect(read(limitText, remaining)).toBeUndefined()
  })
})

describe('formatWait', () => {
  it.each([
    [0.2, '1 s'],
    [119, '119 s'],
    [121, '3 min'],
    [21_600, '6 h'],
  ])('says %d seconds as %s', (seconds, text) => {
    expect(formatWait(seconds)).toBe(text)
  })
})
