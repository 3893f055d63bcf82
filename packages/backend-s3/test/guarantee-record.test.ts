import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProgressEvent } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeS3, useFakeS3 } from './fake-s3.ts'
import { FlawedS3, type Flaws } from './flawed-s3.ts'

const DAY_MS = 24 * 3600 * 1000
const ALL = { createOnly: true, compareAndSwap: true, deadlines: true }
/** Fewer than any search for what a service does. */
const FEW = 10

const service = await useFakeS3()
let caches: string[]
beforeEach(() => {
  caches = []
})
afterEach(async () => {
  for (const cache of caches) await rm(cache, { recursive: true })
})

/** A client on a machine that has never seen the bucket. */
async function newClient(options: Parameters<FakeS3['backend']>[0] = {}) {
  const cache = await mkdtemp(join(tmpdir(), 's3lo-cache-'))
  caches.push(cache)
  return service.backend({ ...options, env: { XDG_CACHE_HOME: cache, ...options.env } })
}

function serve(flawed: FlawedS3): FlawedS3 {
  service.always(flawed.answer)
  service.onBegin = flawed.begin
  return flawed
}

/** The service as it is when a client that found no flaw has left its record. */
async function recorded(flaws: Flaws = {}): Promise<FlawedS3> {
  const sound = serve(new FlawedS3())
  await (await newClient()).proveGuarantees()
  const flawed = new FlawedS3(flaws)
  for (const [key, etag] of sound.objects) flawed.objects.set(key, etag)
  for (const [key, content] of sound.contents) flawed.contents.set(key, content)
  return serve(flawed)
}

describe('the record in the bucket', () => {
  it('spares every other machine the search', async () => {
    await recorded()
    const backend = await newClient()
    expect(await backend.proveGuarantees()).toEqual(ALL)
    expect(service.requests.map(({ method }) => method).toSorted()).toEqual([
      'GET',
      'PUT',
      'PUT',
      'PUT',
    ])
    expect(backend.guarantees).toEqual(ALL)
  })

  it.each<[string, Flaws, Partial<typeof ALL>]>([
    ['creates', { ignoresAbsent: true }, { createOnly: false }],
    ['swaps', { ignoresUnchanged: true }, { compareAndSwap: false }],
    ['deadlines', { ignoresLateWrites: true }, { deadlines: false }],
  ])('is not believed where the service lets wrong %s through', async (_, flaws, lacks) => {
    await recorded(flaws)
    expect(await (await newClient()).proveGuarantees()).toEqual({ ...ALL, ...lacks })
    expect(service.requests.length).toBeGreaterThan(FEW)
  })

  it('ends with the seventh day, and with the service that it is about', async () => {
    const old = await recorded()
    old.writtenAt = new Date(Date.now() - 7 * DAY_MS)
    await (await newClient()).proveGuarantees()
    expect(service.requests.length).toBeGreaterThan(FEW)
    const upgraded = await recorded()
    upgraded.server = 'flawed/2'
    await (await newClient()).proveGuarantees()
    expect(service.requests.length).toBeGreaterThan(FEW)
  })

  it.each(['', 'no JSON', '[]', '{"createOnly":true}', `{"a":"${'x'.repeat(5000)}"}`])(
    'that is none is replaced: %#',
    async (text) => {
      const flawed = await recorded()
      const [key = ''] = [...flawed.objects.keys()]
      flawed.contents.set(key, Buffer.from(text))
      expect(await (await newClient()).proveGuarantees()).toEqual(ALL)
      expect(flawed.contents.get(key)?.toString()).toContain('"createOnly":true')
    },
  )
})

describe('a record that breaks off', () => {
  it.each([
    [1, ALL, ['GET', 'GET', 'PUT', 'PUT', 'PUT']],
    [Infinity, ALL, undefined],
  ])('%s times is read again, or does without', async (times, guarantees, methods) => {
    const flawed = await recorded()
    let broken = 0
    service.always((response, request) => {
      if (request.method !== 'GET' || broken >= times) return flawed.answer(response, request)
      broken += 1
      const headers = { etag: '"e"', 'last-modified': new Date().toUTCString() }
      response.writeHead(200, { ...headers, 'content-length': '80' })
      response.write('{', () => response.destroy())
    })
    expect(await (await newClient()).proveGuarantees()).toEqual(guarantees)
    if (methods) expect(service.requests.map(({ method }) => method).toSorted()).toEqual(methods)
    else expect(service.requests.length).toBeGreaterThan(FEW)
  })
})

describe('an endpoint that is trusted', () => {
  it.each([[{ trustEndpoint: true }], [{ env: { S3LO_TRUST_ENDPOINT: '1' } }]])(
    'is asked nothing: %j',
    async (options) => {
      serve(new FlawedS3())
      const backend = await newClient(options)
      expect(backend.guarantees).toEqual(ALL)
      expect(await backend.proveGuarantees()).toEqual(ALL)
      expect(service.requests).toEqual([])
    },
  )
})

describe('the search', () => {
  it('is told before it begins, and not where a record spares it', async () => {
    const events: ProgressEvent[] = []
    const onProgress = (event: ProgressEvent): void => void events.push(event)
    serve(new FlawedS3())
    await (await newClient({ onProgress })).proveGuarantees()
    expect(events).toMatchObject([{ type: 'notice', code: 'probing-service' }])
    await (await newClient({ onProgress })).proveGuarantees()
    expect(events).toHaveLength(1)
  })
})
