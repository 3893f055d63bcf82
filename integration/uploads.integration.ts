import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  digestOf,
  openMembership,
  openUploads,
  type StorageBackend,
  type UploadName,
} from '@s3lo/core'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cloudStores, removeBucket } from './cloud-stores.ts'

const MIB = 1024 * 1024
const APP = 'team/app'
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
      ['one piece whose algorithm is announced at the end', [3 * MIB], 'sha512'],
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

    it('have exactly one winner of two that append at one place, 20 times', async () => {
      const one = openUploads(backend)
      // Where creates are not exclusive, one process has the upload, and this is the same one.
      const two = store.isStrict ? openUploads(await store.open(bucket)) : one
      const upload: UploadName = await one.begin(APP)
      for (let round = 0; round < 20; round++) {
        const outcomes = await Promise.all(
          [one, two].map((uploads, n) =>
            uploads.append(upload, round * 2, body(Buffer.from(`${n};`))),
          ),
        )
        expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['appended', 'out-of-order'])
        expect(outcomes.map(({ offset }) => offset)).toEqual([round * 2 + 2, round * 2 + 2])
      }
      expect(await keysOf(backend, `.s3lo/uploads/${upload.id}/pieces/`)).toHaveLength(20)
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
