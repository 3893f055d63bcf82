import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  answer,
  type Answer,
  facts,
  failureOf,
  holdTime,
  keysOf,
  refuse,
  reset,
  resolveToLoopback,
  silence,
  textOf,
  content,
  written,
  useFakeS3,
} from './fake-s3.ts'

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.useRealTimers().restoreAllMocks())

describe('the facts of an object', () => {
  it('are those that the service gives, with a class where it names none', async () => {
    service.script(facts({ 'content-length': '7', 'x-amz-storage-class': 'GLACIER_IR' }), facts())
    expect(await service.backend().head('a')).toEqual({
      key: 'a',
      size: 7,
      etag: 'e1',
      lastModified: new Date('2026-11-21T06:00:00Z'),
      storageClass: 'GLACIER_IR',
    })
    expect((await service.backend().head('b'))?.storageClass).toBe('STANDARD')
  })

  it('that are incomplete are no facts', async () => {
    service.always(answer(200, { 'content-length': '1' }))
    expect((await failureOf(service.backend().head('a'))).code).toBe('UNAVAILABLE')
  })

  it('of what is not there ask for the bucket once', async () => {
    service.script(answer(404), answer(200), answer(404))
    const backend = service.backend()
    expect([await backend.head('a'), await backend.head('b')]).toEqual([undefined, undefined])
    expect(service.seen).toEqual(['HEAD /bucket/a', 'HEAD /bucket/', 'HEAD /bucket/b'])
  })

  it('of a missing object are asked for without the right to look at the bucket', async () => {
    service.script(answer(404), answer(403))
    expect(await service.backend().head('a')).toBeUndefined()
  })
})

describe('retries', () => {
  it('survive what passes, and wait longer each time', async () => {
    service.script(reset, refuse(503, 'SlowDown'), refuse(500, 'InternalError'), facts())
    expect(await service.backend().head('a')).toBeDefined()
    expect(service.delays).toEqual([250, 500, 1000])
  })

  it('wait as long as the service asks for', async () => {
    service.script(refuse(503, 'SlowDown', { headers: { 'retry-after': '7' } }), facts())
    await service.backend().head('a')
    expect(service.delays).toEqual([7000])
  })

  it('are those of the policy alone', async () => {
    service.always(refuse(503, 'SlowDown'))
    expect((await failureOf(service.backend().head('a'))).code).toBe('UNAVAILABLE')
    expect(service.requests).toHaveLength(4)
  })

  it('give up an attempt that is silent', async () => {
    holdTime()
    service.script(silence, facts())
    expect(await service.backend().head('a')).toBeDefined()
    expect(service.requests).toHaveLength(2)
  })

  it('send the same body again', async () => {
    service.script(reset, refuse(500, 'InternalError'), written())
    await service.backend().put('a', Buffer.from('text'))
    expect(service.requests.map(({ body }) => body.toString())).toEqual(['text', 'text', 'text'])
  })
})

describe('an abort', () => {
  const calls: readonly [string, (options: { signal: AbortSignal }) => Promise<unknown>][] = [
    ['head', (options) => service.backend().head('a', options)],
    ['get', (options) => service.backend().get('a', options)],
    ['put', (options) => service.backend().put('a', Buffer.from('x'), options)],
    [
      'a put of a stream',
      (options) => service.backend().put('a', Readable.from([Buffer.from('x')]), options),
    ],
    ['delete', (options) => service.backend().delete(['a'], options)],
    ['list', (options) => keysOf(service.backend().list('', options))],
    ['touch', (options) => service.backend().touch('a', options)],
  ]
  it.each(calls)('of %s rejects with its reason, while the service is silent', async (_, call) => {
    const controller = new AbortController()
    const reason = new Error('stop')
    const halt: Answer = () => controller.abort(reason)
    service.script(halt)
    await expect(call({ signal: controller.signal })).rejects.toBe(reason)
  })

  it.each(calls)('before %s sends nothing', async (_, call) => {
    service.script()
    const reason = new Error('stop')
    await expect(call({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(service.requests).toEqual([])
  })
})

describe('keys', () => {
  it.each(['', '.', 'a/./b', 'a/../b', '\ud800', 'x'.repeat(1025)])(
    '"%s" is none to write to',
    async (key) => {
      service.script()
      const backend = service.backend()
      expect((await failureOf(backend.put(key, Buffer.from('x')))).code).toBe('INVALID_REFERENCE')
      expect(service.requests).toEqual([])
    },
  )

  it.each(['a b', 'a+b', 'a%2Fb', 'ü/€', "a'(b)!*", 'a//b', 'a?b#c'])(
    '"%s" arrives as it is',
    async (key) => {
      service.script(content('x'))
      expect(await textOf(service.backend().get(key))).toBe('x')
      const path = new URL(service.requests[0]?.url ?? '', 'http://s3').pathname
      expect(decodeURIComponent(path)).toBe(`/bucket/${key}`)
    },
  )
})
