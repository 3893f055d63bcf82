import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  failureOf,
  type FakeS3,
  keysOf,
  page,
  refuse,
  resolveToLoopback,
  textOf,
  written,
  content,
  facts,
  useFakeS3,
} from './fake-s3.ts'
import { FlawedS3, type Flaws } from './flawed-s3.ts'

const DAY_MS = 24 * 3600 * 1000
const absent = { condition: { kind: 'absent' } } as const
const unchanged = { condition: { kind: 'unchanged', etag: 'e1' } } as const

const service = await useFakeS3()
let cache: string
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 's3lo-cache-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.useRealTimers()
  await rm(cache, { recursive: true })
})

function open(flaws: Flaws = {}, options: Parameters<FakeS3['backend']>[0] = {}) {
  const flawed = new FlawedS3(flaws)
  service.always(flawed.answer)
  service.onBegin = flawed.begin
  const backend = service.backend({ env: { XDG_CACHE_HOME: cache }, ...options })
  return { backend, flawed }
}

describe('what a service is found to guarantee', () => {
  const table: readonly [string, Flaws, readonly boolean[]][] = [
    ['that has no flaw', {}, [true, true, true]],
    ['that ignores If-None-Match', { ignoresAbsent: true }, [false, true, true]],
    ['that lets two racing creates win', { isNotAtomic: true }, [false, true, true]],
    ['that judges a write only as it begins', { judgesEarly: true }, [false, false, true]],
    [
      'that ignores If-None-Match at the end of a multipart upload',
      { ignoresAbsentAtEnd: true },
      [false, true, true],
    ],
    ['that ignores If-Match', { ignoresUnchanged: true }, [true, false, true]],
    ['that does not know If-Match', { refusesUnchanged: true }, [true, false, true]],
    ['that writes after the deadline', { ignoresLateWrites: true }, [true, true, false]],
    ['that deletes after the deadline', { ignoresLateDeletes: true }, [true, true, false]],
    ['that takes no signed URL', { refusesPresigned: true }, [true, true, false]],
  ]
  it.each(table)('of one %s', async (_, flaws, [createOnly, compareAndSwap, deadlines]) => {
    const { backend, flawed } = open(flaws)
    const expected = { createOnly, compareAndSwap, deadlines }
    expect(await backend.proveGuarantees()).toEqual(expected)
    expect(backend.guarantees).toEqual(expected)
    expect([...flawed.objects.keys()]).toEqual([expect.stringContaining('/.s3lo/guarantees/')])
  })

  it('rests on two races of twenty creates and of twenty swaps', async () => {
    await open().backend.proveGuarantees()
    const races = service.requests.filter(({ method }) => method === 'PUT')
    const count = (name: string): number => races.filter(({ url }) => url.includes(name)).length
    expect([count('create-0'), count('create-1')]).toEqual([20, 20])
    // Before the race the object is written, after it the stale etag comes once more.
    expect([count('swap-0'), count('swap-1')]).toEqual([22, 22])
  })

  it('lies below a name that no image has, and every probe has its own', async () => {
    await open().backend.proveGuarantees()
    const prefixes = service.requests
      .filter(({ method, url }) => method === 'PUT' && !url.includes('/guarantees/'))
      .map(({ url }) => /^\/bucket\/(\.s3lo\/probe\/[0-9a-f-]{36}\/)/.exec(url)?.[1])
    expect(new Set(prefixes).size).toBe(1)
    expect(prefixes[0]).toBeDefined()
  })

  it('is not known when the service cannot be asked', async () => {
    service.always(refuse(403, 'AccessDenied'))
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    expect((await failureOf(backend.proveGuarantees())).code).toBe('FORBIDDEN')
    expect(backend.guarantees.createOnly).toBe(false)
    // A failure is not kept.
    service.always(new FlawedS3().answer)
    expect((await backend.proveGuarantees()).createOnly).toBe(true)
  })

  it('is removed again when the caller gives up', async () => {
    const flawed = new FlawedS3()
    const controller = new AbortController()
    service.always((response, request) => {
      if (request.url.includes('create-1')) controller.abort(new Error('enough'))
      flawed.answer(response, request)
    })
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    const { signal } = controller
    await expect(backend.proveGuarantees({ signal })).rejects.toThrow('enough')
    const deletion = service.requests.findLast(({ url }) => url.includes('delete'))
    expect(deletion?.body.toString()).toContain('create-1')
  })

  it('continues for others that wait for it when the caller who began it gives up', async () => {
    const flawed = new FlawedS3()
    const controller = new AbortController()
    service.always((response, request) => {
      if (request.url.includes('create-0')) controller.abort(new Error('enough'))
      flawed.answer(response, request)
    })
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    const first = backend.proveGuarantees({ signal: controller.signal })
    const second = backend.proveGuarantees()
    await expect(first).rejects.toThrow('enough')
    expect((await second).createOnly).toBe(true)
  })

  it('is not waited for by a caller who gives up', async () => {
    const flawed = new FlawedS3()
    const controller = new AbortController()
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    service.always((response, request) => {
      controller.abort(new Error('enough'))
      flawed.answer(response, request)
    })
    const first = backend.proveGuarantees()
    await expect(backend.proveGuarantees({ signal: controller.signal })).rejects.toThrow('enough')
    expect((await first).createOnly).toBe(true)
  })

  it('leaves nothing behind when one of many writes fails before the others are through', async () => {
    const flawed = new FlawedS3()
    const waiting: (() => void)[] = []
    service.always((response, request) => {
      const isRacer = request.url.includes('create-0')
      if (!isRacer) return flawed.answer(response, request)
      if (waiting.length < 19) {
        waiting.push(() => flawed.answer(response, request))
        return
      }
      refuse(404, 'NoSuchBucket')(response, request)
      for (const answerNow of waiting) setImmediate(answerNow)
    })
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    await failureOf(backend.proveGuarantees())
    expect([...flawed.objects.keys()]).toEqual([])
  })
})

describe('a backend', () => {
  it('promises nothing before the proof, and writes nothing that needs a promise', async () => {
    const { backend } = open()
    const late = { notAfter: new Date('2031-01-01') }
    for (const options of [absent, unchanged, late]) {
      const error = await failureOf(backend.put('key', Buffer.from('x'), options))
      expect([error.code, error.hint]).toEqual(['UNSUPPORTED', 's3lo doctor shows what it does'])
    }
    expect((await failureOf(backend.delete(['key'], late))).code).toBe('UNSUPPORTED')
    expect(service.requests).toEqual([])
  })

  it('that only reads proves nothing', async () => {
    service.script(facts(), content('text'), page(['a']))
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    await backend.head('key')
    expect(await textOf(backend.get('key'))).toBe('text')
    await keysOf(backend.list(''))
    expect(service.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'GET'])
  })

  it('proves once, however many ask at the same moment', async () => {
    const { backend } = open()
    await Promise.all([backend.proveGuarantees(), backend.proveGuarantees()])
    const asked = service.requests.length
    await backend.proveGuarantees()
    expect(service.requests).toHaveLength(asked)
  })

  it('remembers for seven days what was found out', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await open({ ignoresUnchanged: true }).backend.proveGuarantees()
    const { backend } = open()
    vi.setSystemTime(Date.now() + 7 * DAY_MS - 1000)
    expect((await backend.proveGuarantees()).compareAndSwap).toBe(false)
    expect(service.requests).toEqual([])
    vi.setSystemTime(Date.now() + 2000)
    expect((await open().backend.proveGuarantees()).compareAndSwap).toBe(true)
    expect(service.requests).not.toEqual([])
  })

  it('remembers it for one endpoint and one bucket', async () => {
    await open({ ignoresAbsent: true }).backend.proveGuarantees()
    const { backend } = open({}, { endpoint: `${service.url}/s3` })
    expect((await backend.proveGuarantees()).createOnly).toBe(true)
    expect(service.requests).not.toEqual([])
  })

  it('of AWS promises all of it, and asks nothing', async () => {
    resolveToLoopback()
    service.script(written())
    const backend = service.aws({ env: { XDG_CACHE_HOME: cache } })
    const all = { createOnly: true, compareAndSwap: true, deadlines: true }
    expect(backend.guarantees).toEqual(all)
    expect(await backend.proveGuarantees()).toEqual(all)
    expect(service.requests).toEqual([])
    await backend.put('key', Buffer.from('x'), absent)
    expect(service.requests[0]?.headers['if-none-match']).toBe('*')
  })
})
