import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import type {
  GetOptions,
  ObjectBody,
  ObjectInfo,
  PutOptions,
} from '../../src/contract/storage-backend.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { parseUploadKey } from '../../src/layout/upload-keys.ts'
import { Digester } from '../../src/oci/digest.ts'
import { openUploads } from '../../src/store/uploads.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const MIB = 1024 * 1024
const BLOCK = randomBytes(MIB)

/** A range of content of any length: one block again and again. */
function* contentOf(start: number, size: number): Generator<Buffer, void> {
  for (let at = start; at < start + size;) {
    const from = at % BLOCK.length
    const chunk = BLOCK.subarray(from, Math.min(BLOCK.length, from + start + size - at))
    yield Buffer.from(chunk)
    at += chunk.length
  }
}

/** A store that keeps of pieces and blobs only where in the content they are. */
class VolumeStore extends MemoryBackend {
  readonly pieces = new Map<string, { readonly start: number; readonly size: number }>()
  /** Bytes that were read of pieces and not written yet, at most. */
  mostHeld = 0
  blobBytes = 0
  #end = 0
  #read = 0

  override async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    if (body instanceof Uint8Array) return super.put(key, body, options)
    const isPiece = parseUploadKey(key)?.kind === 'piece'
    let size = 0
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength
      if (!isPiece) this.mostHeld = Math.max(this.mostHeld, this.#read - size)
    }
    expect(options.size ?? size).toBe(size)
    const info = await super.put(key, new Uint8Array(1))
    if (isPiece) this.pieces.set(key, { start: this.#end, size })
    if (isPiece) this.#end += size
    else this.blobBytes = size
    return { ...info, size }
  }

  override async get(key: string, options?: GetOptions): Promise<ObjectBody> {
    const piece = this.pieces.get(key)
    if (!piece) return super.get(key, options)
    const info = await this.head(key)
    if (!info) throw new Error('missing')
    return { info, body: Readable.from(this.#chunksOf(piece), { objectMode: false }) }
  }

  *#chunksOf({
    start,
    size,
  }: {
    readonly start: number
    readonly size: number
  }): Generator<Buffer> {
    for (const chunk of contentOf(start, size)) {
      this.#read += chunk.length
      yield chunk
    }
  }
}

it.each([
  ['6 GiB in 96 pieces', Array.from({ length: 96 }, () => 64 * MIB)],
  ['6 GiB in one', [6144 * MIB]],
  ['10000 pieces, the most there may be', Array.from({ length: 10_000 }, (_, n) => 1 + (n % 7))],
])('%s become a blob, and little of it is held at once', async (_what, sizes) => {
  const store = new VolumeStore()
  const uploads = openUploads(store)
  const upload = await uploads.begin('app')
  let offset = 0
  for (const size of sizes) {
    const body = Readable.from(contentOf(offset, size), { objectMode: false })
    offset += size
    const appended = { kind: 'appended', offset }
    expect(await uploads.append(upload, offset - size, body, { size })).toEqual(appended)
  }
  // As a client does that does not say before which algorithm it will take.
  const digester = new Digester('sha512')
  for (const chunk of contentOf(0, offset)) digester.update(chunk)
  const digest = digester.digest()
  expect(await openUploads(store).finish(upload, digest)).toEqual({ kind: 'stored' })
  expect(await store.head(blobKey(digest))).toBeDefined()
  expect(store.blobBytes).toBe(offset)
  expect(store.mostHeld).toBeLessThan(16 * MIB)
})

it('more pieces than may be are refused, and what is there can be finished', async () => {
  const store = new VolumeStore()
  const uploads = openUploads(store)
  const upload = await uploads.begin('app')
  for (let n = 0; n < 10_000; n++) {
    await uploads.append(upload, n, Readable.from(contentOf(n, 1), { objectMode: false }))
  }
  const more = uploads.append(upload, undefined, Readable.from([Buffer.from('x')]))
  await expect(more).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  const digester = new Digester()
  for (const chunk of contentOf(0, 10_000)) digester.update(chunk)
  expect(await uploads.finish(upload, digester.digest())).toEqual({ kind: 'stored' })
})
