import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { S3loError } from '../../src/errors.ts'
import { blobKey } from '../../src/layout/keys.ts'
import { offsetKey, pieceKey, sessionKey, UPLOADS_PREFIX } from '../../src/layout/upload-keys.ts'
import { type DigestAlgorithm, digestOf } from '../../src/oci/digest.ts'
import type { UploadName, Uploads } from '../../src/store/upload-contract.ts'
import { openUploads } from '../../src/store/uploads.ts'
import {
  dieAt,
  FaultyBackend,
  MemoryBackend,
  type StorageCall,
  throwAt,
} from '../../src/testing/index.ts'

const APP = 'team/app'
const CONTENT = Buffer.from('the bytes of a layer, in no particular order')
const DIGEST = digestOf(CONTENT)

function body(...chunks: readonly (string | Uint8Array)[]): Readable {
  return Readable.from(chunks.map((chunk) => Buffer.from(chunk)))
}

/** A client that is cut off after some bytes. */
function broken(content: Uint8Array): Readable {
  return Readable.from(
    (function* () {
      yield content
      throw new S3loError('UNAVAILABLE', 'the client is gone')
    })(),
  )
}

async function keysOf(backend: StorageBackend, prefix = ''): Promise<readonly string[]> {
  return Array.fromAsync(backend.list(prefix), ({ key }) => key)
}

async function contentOf(backend: StorageBackend, digest: string): Promise<Buffer> {
  const { body: content } = await backend.get(blobKey(digest))
  return Buffer.concat(await content.toArray())
}

/** An upload with all of the content but its digest. */
async function sent(uploads: Uploads, pieceBytes = CONTENT.length): Promise<UploadName> {
  const upload = await uploads.begin(APP)
  for (let at = 0; at < CONTENT.length; at += pieceBytes) {
    await uploads.append(upload, at, body(CONTENT.subarray(at, at + pieceBytes)))
  }
  return upload
}

describe('an upload', () => {
  it.each([CONTENT.length, 20, 7, 1])('of pieces of %i bytes becomes a blob', async (size) => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await sent(uploads, size)
    expect(await uploads.status(upload)).toEqual({ ...upload, offset: CONTENT.length })
    expect(await uploads.finish(upload, DIGEST)).toEqual({ kind: 'stored' })
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
    expect(await keysOf(backend, UPLOADS_PREFIX)).toEqual([])
    expect(await uploads.status(upload)).toBeUndefined()
  })

  it('is continued and finished by another process than the one that began it', async () => {
    const backend = new MemoryBackend()
    const upload = await openUploads(backend).begin(APP)
    await openUploads(backend).append(upload, 0, body(CONTENT.subarray(0, 9)))
    await openUploads(backend).append(upload, 9, body(CONTENT.subarray(9)))
    await openUploads(backend).finish(upload, DIGEST)
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('takes the last bytes when it is finished', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    await uploads.append(upload, undefined, body(CONTENT.subarray(0, 9)))
    const last = { body: body(CONTENT.subarray(9)), offset: 9, size: CONTENT.length - 9 }
    expect(await uploads.finish(upload, DIGEST, last)).toEqual({ kind: 'stored' })
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('takes the last bytes once, although its end failed and they come again', async () => {
    const inner = new MemoryBackend()
    const failure = new S3loError('UNAVAILABLE', 'the store is away')
    const isBlob = ({ method, key }: StorageCall): boolean =>
      method === 'put' && key === blobKey(DIGEST)
    const uploads = openUploads(new FaultyBackend(inner, { before: throwAt(1, failure, isBlob) }))
    const upload = await uploads.begin(APP)
    await uploads.append(upload, undefined, body(CONTENT.subarray(0, 9)))
    const finish = (by: Uploads): ReturnType<Uploads['finish']> =>
      by.finish(upload, DIGEST, { body: body(CONTENT.subarray(9)) })
    await expect(finish(uploads)).rejects.toBe(failure)
    expect(await finish(openUploads(inner))).toEqual({ kind: 'stored' })
    expect(await contentOf(inner, DIGEST)).toEqual(CONTENT)
  })

  it('whose bytes all come when it is finished writes no piece', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    await uploads.finish(upload, DIGEST, { body: body(CONTENT) })
    const written = backend.calls.filter(({ method }) => method === 'put').map(({ key }) => key)
    expect(written.filter((key) => key.startsWith(UPLOADS_PREFIX))).toEqual([sessionKey(upload.id)])
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('of no bytes becomes the empty blob', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    await uploads.append(upload, 0, body())
    const digest = digestOf(new Uint8Array())
    expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
    expect((await backend.head(blobKey(digest)))?.size).toBe(0)
  })

  it.each([
    ['one piece is moved inside the store', CONTENT.length, {}, ['move']],
    ['one piece is copied where none is moved', CONTENT.length, { move: undefined }, ['copyFrom']],
    ['several pieces is neither', 9, {}, []],
  ])('of %s', async (_what, size, without, expected) => {
    const backend = new FaultyBackend(Object.assign(new MemoryBackend(), without))
    const uploads = openUploads(backend)
    await uploads.finish(await sent(uploads, size), DIGEST)
    const inside = backend.calls.filter(({ method }) => ['move', 'copyFrom'].includes(method))
    expect(inside.map(({ method }) => method)).toEqual(expected)
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('of one piece is copied where the store has to write this object anew', async () => {
    const inner = Object.assign(new MemoryBackend(), { move: () => Promise.resolve(undefined) })
    const backend = new FaultyBackend(inner)
    const uploads = openUploads(backend)
    await uploads.finish(await sent(uploads), DIGEST)
    expect(backend.calls.map(({ method }) => method)).toContain('copyFrom')
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('whose piece was moved by a process that died is finished again, and its session ends', async () => {
    const inner = new MemoryBackend()
    const upload = await sent(openUploads(inner))
    const { faults, died } = dieAt(1, 'after', ({ method }) => method === 'move')
    void openUploads(new FaultyBackend(inner, faults)).finish(upload, DIGEST)
    await died
    expect(await openUploads(inner).finish(upload, DIGEST)).toEqual({ kind: 'stored' })
    expect(await contentOf(inner, DIGEST)).toEqual(CONTENT)
    expect(await keysOf(inner, UPLOADS_PREFIX)).toEqual([])
  })

  it.each<[DigestAlgorithm | undefined, number]>([
    [undefined, 0],
    ['sha512', 1],
  ])('announced as %s and finished as sha512 is moved %i times', async (algorithm, moves) => {
    const backend = new FaultyBackend(new MemoryBackend())
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP, { algorithm })
    await uploads.append(upload, 0, body(CONTENT))
    const digest = digestOf(CONTENT, 'sha512')
    expect(await uploads.finish(upload, digest)).toEqual({ kind: 'stored' })
    expect(await contentOf(backend, digest)).toEqual(CONTENT)
    expect(backend.calls.filter(({ method }) => method === 'move')).toHaveLength(moves)
  })

  it('gives the same when it is finished again', async () => {
    const uploads = openUploads(new MemoryBackend())
    const upload = await sent(uploads)
    await uploads.finish(upload, DIGEST)
    const again = { body: body(CONTENT.subarray(9)), offset: 9 }
    expect(await uploads.finish(upload, DIGEST)).toEqual({ kind: 'stored' })
    expect(await uploads.finish(upload, DIGEST, again)).toEqual({ kind: 'stored' })
  })

  it('is stored once by two that finish it at the same time', async () => {
    const backend = new MemoryBackend()
    const [one, two] = [openUploads(backend), openUploads(backend)]
    const upload = await sent(one, 9)
    const results = await Promise.all([one.finish(upload, DIGEST), two.finish(upload, DIGEST)])
    expect(results).toEqual([{ kind: 'stored' }, { kind: 'stored' }])
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })
})

describe('the requests of an upload', () => {
  const begin = ['put']
  const append = ['list', 'get', 'put', 'put']
  const end = ['delete', 'list', 'delete']
  const link = ['put', 'list']
  it.each([
    ['one piece', CONTENT.length, [...begin, ...append, 'list', 'get', ...link, 'move', ...end]],
    [
      'two pieces',
      30,
      // To finish: the state, the pieces' places, then their bytes, and a link that they were right.
      [...begin, ...append, ...append, 'list', 'get', 'list', 'get', 'get', ...link]
        .concat(['put', 'get', 'get', 'put'])
        .concat(end),
    ],
  ])('in %s are these', async (_what, size, expected) => {
    const backend = new FaultyBackend(new MemoryBackend())
    const uploads = openUploads(backend)
    await uploads.finish(await sent(uploads, size), DIGEST)
    expect(backend.calls.map(({ method }) => method)).toEqual(expected)
  })

  it('directly are a link, a look at the rounds, the blob and another link', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    await openUploads(backend).putBlob(APP, DIGEST, body(CONTENT))
    expect(backend.calls.map(({ method }) => method)).toEqual(['put', 'list', 'put', 'put'])
  })
})

describe('bytes of another digest', () => {
  const other = digestOf(Buffer.from('something else'))

  it.each([CONTENT.length, 9])('end the session, in pieces of %i bytes', async (size) => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await sent(uploads, size)
    await expect(uploads.finish(upload, other)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keysOf(backend, 'blobs/')).toEqual([])
    expect(await uploads.status(upload)).toBeUndefined()
  })

  it('give a repository nothing of a blob that another one has', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    await uploads.putBlob('secret', DIGEST, body(CONTENT))
    const upload = await uploads.begin(APP)
    await uploads.append(upload, 0, body('a guess'))
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'INTEGRITY' })
    const direct = uploads.putBlob(APP, DIGEST, body('a guess'))
    await expect(direct).rejects.toMatchObject({ code: 'INTEGRITY' })
    // Only finishing it again could: the session is over, and the repository has no proven link.
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await contentOf(backend, DIGEST)).toEqual(CONTENT)
  })

  it('are not put over a blob by a direct upload', async () => {
    const backend = new MemoryBackend()
    const direct = openUploads(backend).putBlob(APP, DIGEST, body('short'), { size: 5 })
    await expect(direct).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keysOf(backend, 'blobs/')).toEqual([])
  })
})

describe('a place in an upload', () => {
  it('out of order is refused with the present end, and the body is left alone', async () => {
    const uploads = openUploads(new MemoryBackend())
    const upload = await sent(uploads)
    const late = body('late')
    const refused = { kind: 'out-of-order', offset: CONTENT.length }
    expect(await uploads.append(upload, 9, late)).toEqual(refused)
    expect(await uploads.finish(upload, DIGEST, { body: late, offset: 9 })).toEqual(refused)
    expect(late.destroyed).toBe(false)
    expect(await uploads.finish(upload, DIGEST)).toEqual({ kind: 'stored' })
  })

  it('is taken by exactly one of two that append at the same time, 200 times', async () => {
    const backend = new MemoryBackend()
    const [one, two] = [openUploads(backend), openUploads(backend)]
    const upload = await one.begin(APP)
    let expected = ''
    for (let round = 0; round < 200; round++) {
      const offset = expected.length
      const texts = [`a${round};`, `b${round};`]
      const results = await Promise.all([
        one.append(upload, offset, body(texts[0] ?? '')),
        two.append(upload, offset, body(texts[1] ?? '')),
      ])
      const winners = results.flatMap(({ kind }, index) => (kind === 'appended' ? [index] : []))
      expect(winners).toHaveLength(1)
      expected += texts[winners[0] ?? 0] ?? ''
      expect(results.map((result) => result.offset)).toEqual([expected.length, expected.length])
    }
    const pieces = (await keysOf(backend, UPLOADS_PREFIX)).filter((key) => key.includes('/pieces/'))
    expect(pieces).toHaveLength(200)
    await two.finish(upload, digestOf(Buffer.from(expected)))
    expect(await contentOf(backend, digestOf(Buffer.from(expected)))).toEqual(Buffer.from(expected))
  })

  it('stays free where a body breaks off', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    await uploads.append(upload, 0, body(CONTENT.subarray(0, 9)))
    const cut = uploads.append(upload, 9, broken(CONTENT.subarray(9, 20)))
    await expect(cut).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const shorter = uploads.append(upload, 9, body('123'), { size: 4 })
    await expect(shorter).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await uploads.status(upload)).toMatchObject({ offset: 9 })
    await uploads.append(upload, 9, body(CONTENT.subarray(9)))
    expect(await uploads.finish(upload, DIGEST)).toEqual({ kind: 'stored' })
  })

  it('is of the piece whose answer was lost', async () => {
    const backend = new FaultyBackend(new MemoryBackend())
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    const lost = new S3loError('UNAVAILABLE', 'no answer')
    const isPlace = ({ key }: { readonly key: string }): boolean => key === offsetKey(upload.id, 0)
    backend.faults = {
      after: throwAt(1, lost, ({ method, key }) => method === 'put' && isPlace({ key })),
    }
    await expect(uploads.append(upload, 0, body(CONTENT))).rejects.toBe(lost)
    expect(await uploads.status(upload)).toMatchObject({ offset: CONTENT.length })
    expect(await uploads.finish(upload, DIGEST)).toEqual({ kind: 'stored' })
  })
})

describe('a store without create-only writes', () => {
  const guarantees = { createOnly: false }

  it('has its uploads held by one process, which gives a place to one of two', async () => {
    const backend = new MemoryBackend({ guarantees })
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    const results = await Promise.all([
      uploads.append(upload, 0, body('one')),
      uploads.append(upload, 0, body('two')),
    ])
    expect(results.map(({ kind }) => kind).sort()).toEqual(['appended', 'out-of-order'])
    const other = openUploads(backend)
    await expect(other.append(upload, 3, body('x'))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

describe('a session', () => {
  it('that is cancelled leaves nothing, and cannot be continued', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await sent(uploads, 9)
    expect(await uploads.cancel(upload)).toBe(true)
    expect(await uploads.cancel(upload)).toBe(false)
    expect(await keysOf(backend, UPLOADS_PREFIX)).toEqual([])
    await expect(uploads.append(upload, 0, body('x'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('is not that of another repository', async () => {
    const uploads = openUploads(new MemoryBackend())
    const { id } = await sent(uploads)
    const foreign = { repository: 'team/other', id }
    expect(await uploads.status(foreign)).toBeUndefined()
    expect(await uploads.cancel(foreign)).toBe(false)
    await expect(uploads.finish(foreign, DIGEST)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each(['', '..', '../../blobs', 'A'.repeat(32), `${'0'.repeat(32)}/x`, '0'.repeat(33)])(
    'with the id %j is not there, and nothing is asked of the store',
    async (id) => {
      const backend = new FaultyBackend(new MemoryBackend())
      const uploads = openUploads(backend)
      expect(await uploads.status({ repository: APP, id })).toBeUndefined()
      expect(backend.calls).toEqual([])
    },
  )

  it.each(['', '..', 'a//b', '_manifests', 'a/_x'])('has no repository %j', async (repository) => {
    const begun = openUploads(new MemoryBackend()).begin(repository)
    await expect(begun).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
  })

  const right = {
    v: 1,
    piece: 'a'.repeat(32),
    index: 0,
    size: 4,
    etag: 'e',
    digests: [digestOf(Buffer.from('1234'))],
  }
  it.each<[string, unknown]>([
    ['a later version', { ...right, v: 2 }],
    ['a piece elsewhere', { ...right, piece: '../../../secret' }],
    ['no bytes', { ...right, size: 0 }],
    ['more bytes than there are', { ...right, size: Number.MAX_SAFE_INTEGER }],
    ['a digest that is none', { ...right, digests: ['sha256:x'] }],
    ['no object', []],
    ['too much', { ...right, etag: 'e'.repeat(10_000) }],
  ])('with a forged place, %s, is INTEGRITY', async (_what, document) => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await uploads.begin(APP)
    await backend.put(pieceKey(upload.id, right.piece), Buffer.from('1234'))
    await backend.put(offsetKey(upload.id, 0), Buffer.from(JSON.stringify(document)))
    await expect(uploads.status(upload)).rejects.toMatchObject({ code: 'INTEGRITY' })
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keysOf(backend, 'blobs/')).toEqual([])
  })

  it('whose piece is another than was hashed is no blob', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await sent(uploads)
    const piece = (await keysOf(backend)).find((key) => key.includes('/pieces/')) ?? ''
    await backend.put(piece, Buffer.from(CONTENT.toString().toUpperCase()))
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(await keysOf(backend, 'blobs/')).toEqual([])
  })

  it('with a gap between its pieces is INTEGRITY', async () => {
    const backend = new MemoryBackend()
    const uploads = openUploads(backend)
    const upload = await sent(uploads, 9)
    await backend.delete([offsetKey(upload.id, 9)])
    await expect(uploads.finish(upload, DIGEST)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
