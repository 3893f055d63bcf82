import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { type File, Storage } from '@google-cloud/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ACCOUNT, ACCOUNTS, backendOn, bytesIn, keysOf, textOf } from './double-backend.ts'
import { GcsDouble } from './gcs-double.ts'

// Google's own client judges the double: what it believes, a test against the double may believe.
const BUCKET = 'judged'
const content = randomBytes(3_000_000)

let double: GcsDouble
let storage: Storage
beforeAll(async () => {
  double = await GcsDouble.start({ accounts: ACCOUNTS, rewriteBytes: 1_000_000 })
  double.makeBucket(BUCKET)
  const { client_email, private_key } = ACCOUNT.file
  storage = new Storage({
    apiEndpoint: double.url,
    projectId: 's3lo-test',
    credentials: { client_email, private_key },
    retryOptions: { autoRetry: false },
  })
})
afterAll(() => double.close())

const file = (name: string): File => storage.bucket(BUCKET).file(name)

describe("Google's client at the double", () => {
  it.each([
    ['in one request', { resumable: false }],
    ['in one resumable stream', { resumable: true }],
    ['in chunks', { resumable: true, chunkSize: 1024 * 1024 }],
  ])('uploads %s with checksums, and downloads with checksums', async (name, options) => {
    await file(name).save(content, { ...options, validation: 'crc32c' })
    const [downloaded] = await file(name).download({ validation: 'crc32c' })
    expect(downloaded.equals(content)).toBe(true)
    const [metadata] = await file(name).getMetadata()
    expect(metadata.md5Hash).toBe(createHash('md5').update(content).digest('base64'))
  })

  it('reads ranges', async () => {
    await file('range').save(content, { resumable: false })
    const [bytes] = await file('range').download({ start: 1000, end: 1999 })
    expect(bytes.equals(content.subarray(1000, 2000))).toBe(true)
  })

  it('finds its conditions heeded', async () => {
    const save = (ifGenerationMatch: number | string, resumable: boolean): Promise<void> =>
      file('key').save('x', {
        resumable,
        preconditionOpts: { ifGenerationMatch: Number(ifGenerationMatch) },
      })
    await save(0, false)
    for (const resumable of [false, true]) {
      await expect(save(0, resumable)).rejects.toMatchObject({ code: 412 })
    }
    const [metadata] = await file('key').getMetadata()
    await save(String(metadata.generation), true)
    await expect(save(String(metadata.generation), true)).rejects.toMatchObject({ code: 412 })
    const stale = { ifGenerationMatch: Number(metadata.generation) }
    await expect(file('key').delete(stale)).rejects.toMatchObject({ code: 412 })
  })

  it('copies in several calls, and deletes', async () => {
    await file('from').save(content, { resumable: false })
    await file('from').copy(file('to'))
    expect((await file('to').download())[0].equals(content)).toBe(true)
    await file('to').delete()
    expect((await file('to').exists())[0]).toBe(false)
    await expect(file('to').delete()).rejects.toMatchObject({ code: 404 })
  })

  it('lists with prefix, delimiter and pages', async () => {
    const names = ['l/a', 'l/b/1', 'l/b/2', 'l/c', 'l/d/1']
    for (const name of names) await file(name).save('x', { resumable: false })
    const pages: string[][] = []
    for (let query: object | null = { prefix: 'l/', maxResults: 2, autoPaginate: false }; query;) {
      const [files, next]: [File[], object | null, ...unknown[]] = await storage
        .bucket(BUCKET)
        .getFiles(query)
      pages.push(files.map(({ name }) => name))
      query = next
    }
    expect(pages).toEqual([names.slice(0, 2), names.slice(2, 4), names.slice(4)])
    const [direct, , answer] = await storage
      .bucket(BUCKET)
      .getFiles({ prefix: 'l/', delimiter: '/', autoPaginate: false })
    expect([direct.map(({ name }) => name), answer]).toEqual([
      ['l/a', 'l/c'],
      expect.objectContaining({ prefixes: ['l/b/', 'l/d/'] }),
    ])
  })

  it('signs URLs that are good until they end', async () => {
    await file('a b/ü').save('signed', { resumable: false })
    const expires = Date.now() + 60_000
    const [url] = await file('a b/ü').getSignedUrl({ version: 'v4', action: 'read', expires })
    expect(await (await fetch(url)).text()).toBe('signed')
    const prolonged = url.replace(/X-Goog-Expires=\d+/, 'X-Goog-Expires=6000')
    expect((await fetch(prolonged)).status).toBe(403)
    expect((await fetch(url.split('?')[0] ?? '')).status).toBe(403)
  })
})

describe("Google's client and this backend", () => {
  it('read what the other has written', async () => {
    const backend = backendOn(double, BUCKET, { partBytes: 1024 * 1024 })
    await backend.put('ours', content, { mediaType: 'application/test' })
    const [theirs] = await file('ours').download({ validation: 'md5' })
    expect(theirs.equals(content)).toBe(true)
    expect((await file('ours').getMetadata())[0].contentType).toBe('application/test')
    await file('theirs').save(content)
    expect((await bytesIn(backend, 'theirs')).equals(content)).toBe(true)
    expect(await keysOf(backend.list('ours'))).toEqual(['ours'])
  })

  it('keep uploads apart that begin at once, also after one was cancelled', async () => {
    const backend = backendOn(double, BUCKET, { partBytes: 256 * 1024 })
    const bodies = Array.from({ length: 8 }, () => randomBytes(1_000_000))
    const writes = (round: string): Promise<unknown>[] =>
      bodies.map((body, index) => backend.put(`${round}-${index}`, body))
    double.spoil()
    const first = writes('first')
    const broken = Readable.from([content.subarray(0, 1_000_000)])
    const cancelled = backend.put('broken', broken, { size: content.byteLength })
    await expect(cancelled).rejects.toMatchObject({ code: 'INTEGRITY' })
    await Promise.all([...first, ...writes('second')])
    for (const [index, body] of bodies.entries()) {
      expect((await bytesIn(backend, `first-${index}`)).equals(body)).toBe(true)
      expect((await bytesIn(backend, `second-${index}`)).equals(body)).toBe(true)
    }
    // No chunk was refused, so nothing had to be asked about.
    const ranges = double.requests.map(({ headers }) => headers['content-range'] ?? '')
    expect(ranges.filter((range) => range.startsWith('bytes */'))).toEqual([])
  })

  it('agree on what a touch is', async () => {
    const backend = backendOn(double, BUCKET)
    await file('touched').save('x', { metadata: { metadata: { kept: 'yes' } }, resumable: false })
    const [before] = await file('touched').getMetadata()
    await backend.touch('touched')
    const [after] = await file('touched').getMetadata()
    expect([after.generation, after.timeCreated, after.metadata?.['kept']]).toEqual([
      before.generation,
      before.timeCreated,
      'yes',
    ])
    expect(Number(after.metageneration)).toBe(Number(before.metageneration) + 1)
    expect(await textOf(backend, 'touched')).toBe('x')
  })
})
