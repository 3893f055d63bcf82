import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  Digester,
  digestOf,
  openMembership,
  openUploads,
  type StorageBackend,
  type UploadName,
} from '@s3lo/core'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const APP = 'team/app'
const isNightly = process.env['S3LO_TEST_NIGHTLY'] !== undefined
/** Rounds of two that append at one place; emulators are slow. */
const RACES = 200
const FEW_RACES = 20
/** What answers in milliseconds. */
const FAST = new Set(['local', 's3 (Ceph)'])
const work = await mkdtemp(join(tmpdir(), 's3lo-uploads-'))
afterAll(() => rm(work, { recursive: true }))

function body(content: Uint8Array): Readable {
  return Readable.from([content])
}

async function blobOf(backend: StorageBackend, digest: string): Promise<Buffer> {
  const { body: content } = await backend.get(`blobs/${digest.replace(':', '/')}`)
  return Buffer.concat(await content.toArray())
}

async function keysOf(backend: StorageBackend, prefix: string): Promise<readonly string[]> {
  return Array.fromAsync(backend.list(prefix), ({ key }) => key)
}

describe.each(cloudStores(work).map((store) => [store.name, store] as const))(
  'uploads into %s',
  (_, store) => {
    let bucket: string
    let backend: StorageBackend

    beforeEach(async () => {
      bucket = await store.makeBucket()
      backend = await store.open(bucket)
    })
    afterEach(async () => {
      await backend.close?.()
      await removeBucket(store, bucket)
    })

    it.each([
      ['one small piece', [1000], 'sha256'],
      ['one piece of several parts', [20 * MIB + 1], 'sha256'],
      ['pieces of all sizes', [1, 9 * MIB, 17, 17 * MIB, MIB], 'sha256'],
      ['pieces of one byte', Array.from({ length: 20 }, () => 1), 'sha256'],
      ['one piece whose algorithm is announced at the end', [3 * MIB], 'sha512'],
      ['pieces whose algorithm is announced at the end', [1, 9 * MIB, 100], 'sha512'],
    ] as const)('%s become a blob', async (_what, sizes, algorithm) => {
      const uploads = openUploads(backend)
      const upload = await uploads.begin(APP)
      const pieces = sizes.map((size) => randomBytes(size))
      let offset = 0
      for (const piece of pieces) {
        const { length } = piece
        await uploads.append(upload, offset, body(piece), { size: length })
        offset += length
      }
      const content = Buffer.concat(pieces)
      const digest = digestOf(content, algorithm)
      expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
      expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
      expect(Buffer.compare(await blobOf(backend, digest), content)).toBe(0)
      expect(await keysOf(backend, '.s3lo/uploads/')).toEqual([])
      expect(await openMembership(backend).find(APP, digest)).toMatchObject({ size: offset })
      expect(await openMembership(backend).find('team/other', digest)).toBeUndefined()
    })

    const races = isNightly || FAST.has(store.name) ? RACES : FEW_RACES
    it(`have exactly one winner of two that append at one place, ${races} times`, async () => {
      const one = openUploads(backend)
      // Where creates are not exclusive, one process has the upload, and this is the same one.
      const two = store.isStrict ? openUploads(await store.open(bucket)) : one
      const upload: UploadName = await one.begin(APP)
      for (let round = 0; round < races; round++) {
        const outcomes = await Promise.all(
          [one, two].map((uploads, n) =>
            uploads.append(upload, round * 2, body(Buffer.from(`${n};`))),
          ),
        )
        expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['appended', 'out-of-order'])
        const end = round * 2 + 2
        const isEnd = (offset: number): boolean => offset === end
        // Swift's listing may come later than its answer: what the loser is told may be the offset before.
        const isKnown = (offset: number): boolean => isEnd(offset) || offset === end - 2
        const offsets = outcomes.map(({ offset }) => offset)
        expect(offsets.some(isEnd)).toBe(true)
        expect(offsets.every(store.isStrict ? isEnd : isKnown)).toBe(true)
      }
      expect(await keysOf(backend, `.s3lo/uploads/${upload.id}/pieces/`)).toHaveLength(races)
      expect(await one.cancel(upload)).toBe(true)
      expect(await keysOf(backend, '.s3lo/uploads/')).toEqual([])
    })

    it('leave nothing where the bytes are wrong or break off', async () => {
      const uploads = openUploads(backend)
      const digest = digestOf(Buffer.from('right'))
      const upload = await uploads.begin(APP)
      const cut = new Readable({
        read() {
          this.push(Buffer.alloc(MIB))
          this.destroy(new Error('the client is gone'))
        },
      })
      await expect(uploads.append(upload, 0, cut)).rejects.toThrow()
      expect(await uploads.status(upload)).toMatchObject({ offset: 0 })
      await uploads.append(upload, 0, body(Buffer.from('wrong')))
      await expect(uploads.finish(upload, digest)).rejects.toMatchObject({ code: 'INTEGRITY' })
      const direct = uploads.putBlob(APP, digest, body(Buffer.from('wrong')))
      await expect(direct).rejects.toMatchObject({ code: 'INTEGRITY' })
      expect(await keysOf(backend, 'blobs/')).toEqual([])
      expect(await keysOf(backend, '.s3lo/uploads/')).toEqual([])
      expect(await openMembership(backend).find(APP, digest)).toBeUndefined()
    })
  },
)

/** As many bytes, made as they are read. */
function* generated(size: number): Generator<Buffer> {
  const block = randomBytes(MIB)
  for (let left = size; left > 0; left -= block.length) {
    block.writeDoubleLE(left)
    yield Buffer.from(block.subarray(0, Math.min(left, block.length)))
  }
}

/** Content that is hashed as it passes. */
function* counted(content: Iterable<Buffer>, digester: Digester): Generator<Buffer> {
  for (const bytes of content) {
    digester.update(bytes)
    yield bytes
  }
}

describe.runIf(isNightly)('an upload of 6 GiB into a local store', () => {
  it('in pieces of 1 byte to 5 GiB becomes a blob', async () => {
    const store = cloudStores(work).find(({ name }) => name === 'local')
    const bucket = (await store?.makeBucket()) ?? ''
    const backend = await store?.open(bucket)
    if (!store || !backend) throw new Error('there is no local store')
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    const digester = new Digester('sha256')
    let offset = 0
    for (const size of [1, 2, 65_537, 64 * MIB, 5 * GIB, GIB - 64 * MIB - 65_540]) {
      const content = Readable.from(counted(generated(size), digester), { objectMode: false })
      const added = await uploads.append(upload, offset, content, { size })
      offset += size
      expect(added).toEqual({ kind: 'appended', offset })
    }
    const digest = digester.digest()
    expect(offset).toBe(6 * GIB)
    expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
    expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
    const stored = new Digester('sha256')
    const { body: content } = await backend.get(`blobs/${digest.replace(':', '/')}`)
    for await (const bytes of content) stored.update(bytes)
    expect(stored.digest()).toBe(digest)
    expect(await keysOf(backend, '.s3lo/uploads/')).toEqual([])
    await removeBucket(store, bucket)
  })
})
