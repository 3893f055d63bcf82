import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { UploadName } from '../../src/store/upload-contract.ts'
import { openUploads } from '../../src/store/uploads.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const APP = 'team/app'
const LIMIT = 20
const FITS = Buffer.alloc(LIMIT, 'x')
const LARGER = Buffer.alloc(LIMIT + 1, 'x')
const tooLarge = { code: 'UNSUPPORTED', details: { limit: LIMIT } }

function body(content: Uint8Array): Readable {
  return Readable.from([content])
}

describe.each([
  ['of known length', (content: Uint8Array) => content.byteLength],
  ['of unknown length', () => undefined],
])('a body %s', (_what, sizeOf) => {
  it('may be as large as a blob may be, and no larger, without a session', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend, { maxBytes: LIMIT })
    await uploads.putBlob(APP, digestOf(FITS), body(FITS), { size: sizeOf(FITS) })
    const larger = uploads.putBlob(APP, digestOf(LARGER), body(LARGER), { size: sizeOf(LARGER) })
    await expect(larger).rejects.toMatchObject(tooLarge)
    expect(await Array.fromAsync(backend.list('blobs/'))).toHaveLength(1)
  })

  it('that would make an upload too large leaves it where it was', async () => {
    const uploads = openUploads(new MemoryBackend(), { maxBytes: LIMIT })
    const upload: UploadName = await uploads.begin(APP)
    const [first, rest, more] = [FITS.subarray(0, 8), FITS.subarray(8), LARGER.subarray(8)]
    await uploads.append(upload, 0, body(first))
    const appended = uploads.append(upload, 8, body(more), { size: sizeOf(more) })
    await expect(appended).rejects.toMatchObject(tooLarge)
    const last = { body: body(more), offset: 8, size: sizeOf(more) }
    const finished = uploads.finish(upload, digestOf(LARGER), last)
    await expect(finished).rejects.toMatchObject(tooLarge)
    expect(await uploads.status(upload)).toMatchObject({ offset: 8 })
    await uploads.append(upload, 8, body(rest), { size: sizeOf(rest) })
    expect(await uploads.finish(upload, digestOf(FITS))).toEqual({ kind: 'stored' })
  })
})
