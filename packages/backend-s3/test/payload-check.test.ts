import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { useFakeS3 } from './fake-s3.ts'
import { FlawedS3, type Flaws } from './flawed-s3.ts'

const service = await useFakeS3()
let cache: string
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 's3lo-cache-'))
})
afterAll(() => rm(cache, { recursive: true }))

/** Uploads two objects in parts, after the service was tried out; gives what was sent then. */
async function uploadTo(flaws: Flaws, options: { readonly isProven: boolean }) {
  const flawed = new FlawedS3(flaws)
  service.always(flawed.answer)
  service.onBegin = flawed.begin
  const backend = service.backend({ partBytes: 8, env: { XDG_CACHE_HOME: cache } })
  if (options.isProven) await backend.proveGuarantees()
  service.always(flawed.answer)
  for (const key of ['a', 'b']) await backend.put(key, Buffer.alloc(20, key))
  const parts = service.requests.filter(({ url }) => url.includes('partNumber'))
  const probes = service.requests.filter(({ url }) => url.includes('/payload'))
  return {
    probes: probes.map(({ method, body }) => `${method} ${body.toString()}`),
    hasMd5: [...new Set(parts.map(({ headers }) => headers['content-md5'] !== undefined))],
    left: [...flawed.objects.keys()].filter((key) => key.includes('payload')),
  }
}

describe('the parts of an upload', () => {
  it('have the hash that is signed, and no MD5, where the service refuses another body', async () => {
    expect(await uploadTo({}, { isProven: true })).toEqual({
      probes: ['PUT sent..'],
      hasMd5: [false],
      left: [],
    })
  })

  it('have an MD5 where the service takes another body', async () => {
    const { probes, hasMd5 } = await uploadTo({ ignoresPayload: true }, { isProven: true })
    expect([probes, hasMd5]).toEqual([['PUT sent..', 'DELETE '], [true]])
  })

  it('have an MD5 where nothing was tried out', async () => {
    expect(await uploadTo({}, { isProven: false })).toEqual({
      probes: [],
      hasMd5: [true],
      left: [],
    })
  })
})

describe('an object in one request', () => {
  const MIB = 1024 * 1024

  /** Whether puts of these lengths had an MD5, by a backend that has tried the service out. */
  async function haveMd5(flaws: Flaws, lengths: readonly number[]): Promise<boolean[]> {
    const flawed = new FlawedS3(flaws)
    service.always(flawed.answer)
    service.onBegin = flawed.begin
    const backend = service.backend({ env: { XDG_CACHE_HOME: cache } })
    await backend.proveGuarantees()
    const { length: before } = service.requests
    const notAfter = new Date(Date.now() + 60_000)
    for (const length of lengths) await backend.put('a', Buffer.alloc(length))
    await backend.put('a', Buffer.alloc(1), { notAfter })
    return service.requests
      .slice(before)
      .filter(({ method, url }) => method === 'PUT' && !url.includes('/payload'))
      .map(({ headers }) => headers['content-md5'] !== undefined)
  }

  it('has no MD5 once that is worth a trial, but where a deadline leaves the body unsigned', async () => {
    expect(await haveMd5({}, [1, MIB / 2, MIB / 2, 1])).toEqual([true, true, false, false, true])
  })

  it('has an MD5 where the service takes another body', async () => {
    expect(await haveMd5({ ignoresPayload: true }, [MIB, 1])).toEqual([true, true, true])
  })
})
