import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type Answer,
  facts,
  failureOf,
  holdTime,
  keysOf,
  page,
  refuse,
  resolveToLoopback,
  STALL_MS,
  textOf,
  content,
  written,
  xml,
  useFakeS3,
} from './fake-s3.ts'

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.useRealTimers().restoreAllMocks())

const XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

const here = (region: string): Record<string, string> => ({ 'x-amz-bucket-region': region })
const hosts = (): unknown[] => service.requests.map(({ headers }) => headers.host?.split(':')[0])

describe('a bucket in another region', () => {
  it('is found by the header of the refusal, and the same body goes there', async () => {
    service.script(refuse(301, 'PermanentRedirect', { headers: here('eu-central-1') }), written())
    expect(await service.aws().put('key', Buffer.from('text'))).toMatchObject({ etag: 'e1' })
    expect(service.regions).toEqual(['us-east-1', 'eu-central-1'])
    expect(service.requests.map(({ body }) => body.toString())).toEqual(['text', 'text'])
  })

  it('is found by what the refusal says where it has no header', async () => {
    const region = { xml: '<Region>eu-west-3</Region>' }
    service.script(refuse(400, 'AuthorizationHeaderMalformed', region), content('x'))
    expect(await textOf(service.aws().get('key'))).toBe('x')
    expect(service.regions).toEqual(['us-east-1', 'eu-west-3'])
  })

  it('is found by the header of an empty answer to a HEAD', async () => {
    service.script(answer(400, here('ap-south-1')), facts())
    expect(await service.aws().head('key')).toMatchObject({ etag: 'e1' })
    expect(service.regions).toEqual(['us-east-1', 'ap-south-1'])
  })

  it('is asked for by a HEAD of the bucket, which takes no permission', async () => {
    service.script(refuse(301, 'PermanentRedirect'), answer(301, here('sa-east-1')), page(['a']))
    expect(await keysOf(service.aws().list(''))).toEqual(['a'])
    expect(service.seen).toEqual([
      'GET /?encoding-type=url&list-type=2&prefix=',
      'HEAD /',
      'GET /?encoding-type=url&list-type=2&prefix=',
    ])
    expect(service.regions.at(-1)).toBe('sa-east-1')
  })

  it.each([
    ['EU', 'eu-west-1'],
    ['eu-north-1', 'eu-north-1'],
  ])('called %s by the service is in %s', async (name, region) => {
    const location = xml(`<LocationConstraint ${XMLNS}>${name}</LocationConstraint>`)
    service.script(refuse(301, 'PermanentRedirect'), answer(301), location, page(['a']))
    expect(await keysOf(service.aws().list(''))).toEqual(['a'])
    expect(service.seen.slice(1, 3)).toEqual(['HEAD /', 'GET /?location='])
    expect(service.regions.at(-1)).toBe(region)
  })

  it('without a name of its own is in the first one', async () => {
    const location = xml(`<LocationConstraint ${XMLNS}/>`)
    service.script(refuse(301, 'PermanentRedirect'), answer(301), location, page(['a']))
    const backend = service.aws({ region: 'eu-west-1' })
    expect(await keysOf(backend.list(''))).toEqual(['a'])
    expect(service.regions).toEqual(['eu-west-1', 'eu-west-1', 'eu-west-1', 'us-east-1'])
  })

  it('is named in the hint when its region is not known', async () => {
    service.script(refuse(301, 'PermanentRedirect'), answer(403), refuse(403, 'AccessDenied'))
    const error = await failureOf(keysOf(service.aws().list('')))
    expect([error.code, error.hint]).toEqual(['NOT_FOUND', 'name its region in AWS_REGION'])
  })

  it('is looked for only once', async () => {
    service.script(
      refuse(301, 'PermanentRedirect', { headers: here('eu-central-1') }),
      facts(),
      facts(),
    )
    const backend = service.aws()
    await backend.head('a')
    await backend.head('b')
    expect(service.regions).toEqual(['us-east-1', 'eu-central-1', 'eu-central-1'])
  })

  it('is found by all requests that are under way at the same moment', async () => {
    let waiting: (() => void)[] = []
    service.always((response, request) => {
      if (service.regions[service.requests.indexOf(request)] === 'eu-central-1') {
        return facts()(response, request)
      }
      // None is refused before all of them have been sent.
      waiting.push(() => answer(301, here('eu-central-1'))(response, request))
      if (waiting.length === 8) {
        for (const go of waiting) go()
        waiting = []
      }
    })
    const backend = service.aws()
    const keys = Array.from({ length: 8 }, (_, index) => `key-${index}`)
    const infos = await Promise.all(keys.map((key) => backend.head(key)))
    expect(infos.map((info) => info?.key)).toEqual(keys)
  })

  it('is not looked for again by a request that was refused later', async () => {
    let refuseSlow = (): void => {}
    service.always((response, request) => {
      const isMoved = service.regions[service.requests.indexOf(request)] === 'eu-central-1'
      if (request.url === '/') return answer(301, here('eu-central-1'))(response, request)
      if (isMoved) return facts()(response, request)
      const refusal = (): void => answer(301)(response, request)
      if (request.url === '/slow') refuseSlow = refusal
      else refusal()
    })
    const backend = service.aws()
    const slow = backend.head('slow')
    await vi.waitFor(() => expect(service.seen).toContain('HEAD /slow'))
    expect(await backend.head('fast')).toBeDefined()
    refuseSlow()
    expect(await slow).toBeDefined()
    expect(service.seen.filter((line) => line === 'HEAD /')).toHaveLength(1)
  })

  it('that is never the right one does not go round for ever', async () => {
    const again: Answer = (response, request) =>
      refuse(301, 'PermanentRedirect', { headers: here('eu-central-1') })(response, request)
    service.script(again, again)
    expect((await failureOf(service.aws().head('key'))).code).toBe('NOT_FOUND')
    expect(service.requests).toHaveLength(2)
  })

  it.each(['evil.example.com/', '../x', 'a b', ''])(
    'called "%s" is not believed in',
    async (region) => {
      service.script(
        refuse(301, 'PermanentRedirect', { xml: `<Region>${region}</Region>` }),
        answer(403),
        refuse(403, 'AccessDenied'),
      )
      await failureOf(keysOf(service.aws().list('')))
      expect(new Set(hosts())).toEqual(new Set(['bucket.s3.amazonaws.com']))
    },
  )
})

describe('another service', () => {
  it('is not asked for regions', async () => {
    service.script(refuse(301, 'PermanentRedirect', { headers: here('eu-central-1') }))
    expect((await failureOf(service.backend().head('key'))).code).toBe('NOT_FOUND')
    expect(service.requests).toHaveLength(1)
  })

  it('is sent requests for the region that was named, or for the first one', async () => {
    service.script(facts(), facts(), facts())
    await service.backend().head('key')
    await service.backend({ region: 'garage' }).head('key')
    await service.backend({ env: { AWS_DEFAULT_REGION: 'auto' } }).head('key')
    expect(service.regions).toEqual(['us-east-1', 'garage', 'auto'])
  })
})

describe('a presigned URL', () => {
  it('is a signed GET that lasts as long as was asked for', async () => {
    service.script()
    const url = await service.backend().presignGet('a/b c', { expiresInSeconds: 60 })
    expect(url.href).toContain(`${service.url}/bucket/a/b%20c?`)
    expect(url.searchParams.get('X-Amz-Expires')).toBe('60')
    expect(url.searchParams.get('X-Amz-Signature')).toMatch(/^[0-9a-f]{64}$/)
    expect(url.href).not.toMatch(/checksum/i)
    expect(service.requests).toEqual([])
  })

  it('is signed for the region that the bucket is in', async () => {
    service.script(answer(301, here('eu-central-1')), answer(200))
    const url = await service.aws().presignGet('key', { expiresInSeconds: 60 })
    expect(url.searchParams.get('X-Amz-Credential')).toContain('/eu-central-1/s3/')
    expect(service.seen).toEqual(['HEAD /', 'HEAD /'])
  })

  it('is signed at once where the region is known', async () => {
    service.script(facts())
    const backend = service.aws()
    await backend.head('key')
    await backend.presignGet('key', { expiresInSeconds: 60 })
    expect(service.requests).toHaveLength(1)
  })

  it.each([0, -1, Number.NaN, 7 * 24 * 3600 + 1])('cannot last %d seconds', async (seconds) => {
    service.script()
    const error = await failureOf(
      service.backend().presignGet('key', { expiresInSeconds: seconds }),
    )
    expect(error.code).toBe('USAGE')
  })

  it('takes credentials', async () => {
    const credentials = async (): Promise<never> => {
      throw Object.assign(new Error('no'), { name: 'CredentialsProviderError' })
    }
    const backend = service.backend({ credentials })
    const error = await failureOf(backend.presignGet('key', { expiresInSeconds: 60 }))
    expect(error.code).toBe('UNAUTHORIZED')
  })
})

describe('credentials that never come', () => {
  const credentials = (): Promise<never> => new Promise(() => {})
  const calls: readonly (readonly [string, (signal: AbortSignal) => Promise<unknown>])[] = [
    ['a read', (signal) => service.backend({ credentials }).head('key', { signal })],
    [
      'a copy',
      (signal) => {
        const from = service.backend({ credentials })
        return service.backend({ credentials }).copyFrom(from, 'from', 'to', { signal })
      },
    ],
    [
      'a presigned URL',
      (signal) =>
        service.backend({ credentials }).presignGet('key', { expiresInSeconds: 60, signal }),
    ],
  ]
  it.each(calls)('do not hold up %s that is aborted', async (_, call) => {
    service.script()
    const controller = new AbortController()
    const reason = new Error('stop')
    const running = call(controller.signal)
    setImmediate(() => controller.abort(reason))
    await expect(running).rejects.toBe(reason)
  })

  it('are a service that is silent', async () => {
    service.script()
    holdTime()
    const backend = service.backend({ credentials, retry: { attempts: 2 } })
    const failure = failureOf(backend.head('key'))
    await vi.advanceTimersByTimeAsync(3 * STALL_MS)
    expect((await failure).code).toBe('UNAVAILABLE')
  })
})

describe('a proxy', () => {
  it('that HTTPS_PROXY names is asked for every https connection', async () => {
    const asked: (string | undefined)[] = []
    const proxy = createServer().on('connect', ({ url }, socket) => {
      asked.push(url)
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const { port } = proxy.address() as AddressInfo
    const url = `http://user:SECRET@127.0.0.1:${port}`
    const env = { HTTPS_PROXY: url, NO_PROXY: 'inside.example' }
    const retry = { attempts: 1 }
    const endpoint = 'https://s3.example'
    const error = await failureOf(service.backend({ endpoint, env, retry }).head('key'))
    expect([error.code, error.hint]).toEqual(['UNAVAILABLE', 'check HTTPS_PROXY and NO_PROXY'])
    expect(inspect(error, { depth: 9 })).not.toContain('SECRET')
    await failureOf(service.backend({ endpoint: 'https://inside.example', env, retry }).head('key'))
    expect(asked).toEqual(['s3.example:443'])
    proxy.close()
  })
})
