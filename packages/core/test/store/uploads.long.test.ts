import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { expect, it } from 'vitest'
import type {
  GetOptions,
  MoveOptions,
  ObjectBody,
  ObjectInfo,
  PutOptions,
} from '../../src/contract/storage-backend.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { parseUploadKey } from '../../src/layout/upload-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { openUploads } from '../../src/store/uploads.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const MIB = 1024 * 1024

interface Range {
  readonly start: number
  readonly size: number
}

/** A store that keeps of pieces and blobs only where in the content they are. */
class VolumeStore extends MemoryBackend {
  readonly pieces = new Map<string, Range>()
  /** Bytes that were read of pieces and not written yet, at most. */
  mostHeld = 0
  blobBytes = 0
  readonly #block: Buffer
  #end = 0
  #read = 0

  /** The content of all uploads is one block again and again. */
  constructor(block: Buffer) {
    super()
    this.#block = block
  }

  open(start: number, size: number): Readable {
    return Readable.from(this.#chunksOf({ start, size }), { objectMode: false })
  }

  override async put(
    key: string,
    body: Uint8Array | Readable,
    options: PutOptions = {},
  ): Promise<ObjectInfo> {
    if (body instanceof Uint8Array) return super.put(key, body, options)
    const isPiece = parseUploadKey(key)?.kind === 'piece'
    this.#read = 0
    let size = 0
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength
      this.mostHeld = Math.max(this.mostHeld, this.#read - size)
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
    return { info, body: this.open(piece.start, piece.size) }
  }

  override async move(
    from: string,
    to: string,
    options?: MoveOptions,
  ): Promise<ObjectInfo | undefined> {
    const piece = this.pieces.get(from)
    const info = await super.move(from, to, options)
    return info && piece ? { ...info, size: piece.size } : info
  }

  *#chunksOf({ start, size }: Range): Generator<Buffer> {
    for (let at = start; at < start + size;) {
      const from = at % this.#block.length
      const chunk = this.#block.subarray(from, from + start + size - at)
      this.#read += chunk.length
      at += chunk.length
      yield chunk
    }
  }
}

/** Of 6 GiB of zeros. */
const ZEROS = 'sha256:5c32c2b28999325bc5ad39d6530bcb46fbdf1f86375a991b7269764c50b0d109'

it.each([
  ['96 pieces', Array.from({ length: 96 }, () => 64 * MIB)],
  ['one piece', [6144 * MIB]],
])('6 GiB in %s become a blob, and little of it is held at once', async (_what, sizes) => {
  const store = new VolumeStore(Buffer.alloc(MIB))
  const uploads = openUploads(store)
  const upload = await uploads.begin('app')
  let offset = 0
  for (const size of sizes) {
    const appended = { kind: 'appended', offset: offset + size }
    expect(await uploads.append(upload, offset, store.open(offset, size), { size })).toEqual(
      appended,
    )
    offset += size
  }
  expect(await openUploads(store).finish(upload, ZEROS)).toEqual({ kind: 'stored' })
  expect(await store.head(blobKey(ZEROS))).toBeDefined()
  if (sizes.length > 1) expect(store.blobBytes).toBe(6144 * MIB)
  expect(store.mostHeld).toBeLessThan(16 * MIB)
})

it('10000 pieces become a blob, in their order, and no more are taken', async () => {
  const store = new VolumeStore(randomBytes(MIB))
  const uploads = openUploads(store)
  const upload = await uploads.begin('app')
  let offset = 0
  for (let n = 0; n < 10_000; n++) {
    const size = 1 + (n % 7)
    await uploads.append(upload, offset, store.open(offset, size))
    offset += size
  }
  const more = uploads.append(upload, undefined, store.open(offset, 1))
  await expect(more).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  const content = await store.open(0, offset).toArray()
  const digest = digestOf(Buffer.concat(content), 'sha512')
  expect(await openUploads(store).finish(upload, digest)).toEqual({ kind: 'stored' })
  expect(store.blobBytes).toBe(offset)
})
