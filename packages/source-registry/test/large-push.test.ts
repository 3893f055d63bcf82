import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, noise, opener } from './images.ts'
import { MemoryRegistry, type MemoryRegistryOptions, refuse } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
let server: MemoryRegistry
let repository: RegistryRepository

beforeEach(() => use({}))
afterEach(stop)

async function use(options: MemoryRegistryOptions): Promise<void> {
  server = await MemoryRegistry.start(options)
  repository = openRepository(server.host, REPOSITORY, { partBytes: 1000 })
}

async function restart(options: MemoryRegistryOptions): Promise<void> {
  await stop()
  await use(options)
}

async function stop(): Promise<void> {
  await repository.close()
  await server.stop()
}

const sent = (method: string): number =>
  server.requests.filter((request) => request.startsWith(method)).length

/** Gives content that passes only once, in pieces that fit no chunk. */
function once(content: Uint8Array): () => Promise<Readable> {
  let isOpened = false
  return () => {
    if (isOpened) return Promise.reject(new Error('it cannot be read twice'))
    isOpened = true
    return Promise.resolve(Readable.from(pieces(content), { objectMode: false }))
  }
}

function* pieces(content: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < content.byteLength; start += 700) {
    yield content.subarray(start, start + 700)
  }
}

describe('a push of a large blob', () => {
  const large = blobOf(noise(4500))

  it('sends a large blob in chunks', async () => {
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect(sent('PATCH')).toBe(5)
  })

  it('makes the chunks as large as the registry wants them', async () => {
    await restart({ minChunkBytes: 2000 })
    await repository.put(large.descriptor, opener(large.content))
    expect(sent('PATCH')).toBe(3)
  })

  it.each(['push', 'ingest'] as const)(
    'holds no more than its memory of chunks as large as the registry wants them: %s',
    async (how) => {
      await restart({ minChunkBytes: 2000 })
      const own = openRepository(server.host, REPOSITORY, { partBytes: 1000, memoryBytes: 4000 })
      let underWay = 0
      let most = 0
      server.script = async ({ method }) => {
        if (method !== 'PATCH') return false
        most = Math.max(most, ++underWay)
        // Every other upload that may continue has the time to do so.
        for (let trips = 0; trips < 3; trips += 1) await repository.has(large.descriptor)
        underWay -= 1
        return false
      }
      const send = async (size: number): Promise<void> => {
        const { descriptor, content } = blobOf(noise(size))
        if (how === 'push') return own.put(descriptor, opener(content))
        await own.ingest(await opener(content)(), size, descriptor.mediaType)
      }
      await Promise.all([3001, 3002, 3003, 3004].map(send))
      expect([server.blobs.size, most]).toEqual([4, 2])
      await own.close()
    },
  )

  it('cuts no chunks that are larger than its memory', async () => {
    await restart({ minChunkBytes: 1e14 })
    const own = openRepository(server.host, REPOSITORY, { partBytes: 1000, memoryBytes: 4000 })
    const { descriptor, content } = large
    await own.put(descriptor, opener(content))
    expect(server.blobs.get(descriptor.digest)).toEqual(content)
    const unknown = own.ingest(await opener(content)(), content.byteLength, descriptor.mediaType)
    expect(await codeOf(unknown)).toBe('UNSUPPORTED')
    expect([sent('PATCH'), server.uploads.size]).toEqual([0, 0])
    await own.close()
  })

  it('sends one stream where the registry takes no chunks', async () => {
    await restart({ chunks: false })
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect(server.uploads.size).toBe(0)
  })

  it('sends what passes only once where the registry takes no chunks', async () => {
    await restart({ chunks: false })
    await repository.put(large.descriptor, once(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect(server.uploads.size).toBe(0)
  })

  it('opens the content again when the stream that took over breaks', async () => {
    await restart({ chunks: false })
    let puts = 0
    server.script = (request, response) => {
      if (request.method !== 'PUT' || ++puts > 1) return false
      response.destroy()
      return true
    }
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
  })

  it('stores nothing wrong by the stream that takes over', async () => {
    await restart({ chunks: false })
    const wrong = large.content.toReversed()
    expect(await codeOf(repository.put(large.descriptor, once(wrong)))).toBe('INTEGRITY')
    expect([server.blobs.size, server.uploads.size]).toEqual([0, 0])
  })

  it('remembers that the registry takes no chunks', async () => {
    await restart({ chunks: false })
    const other = blobOf(noise(5500))
    await repository.put(large.descriptor, opener(large.content))
    await repository.put(other.descriptor, opener(other.content))
    expect(server.blobs.get(other.descriptor.digest)).toEqual(other.content)
    expect(sent('PATCH')).toBe(1)
  })

  it('continues with the chunk of which the registry holds a part', async () => {
    let patches = 0
    server.script = (request, response, body) => {
      if (request.method !== 'PATCH' || ++patches !== 3) return false
      const id = /uploads\/([^?]+)/.exec(request.url ?? '')?.[1] ?? ''
      server.uploads.set(
        id,
        Buffer.concat([server.uploads.get(id) ?? '', body.subarray(0, 300)] as Uint8Array[]),
      )
      response.destroy()
      return true
    }
    let opened = 0
    await repository.put(large.descriptor, () => {
      opened += 1
      return opener(large.content)()
    })
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect([opened, patches]).toEqual([1, 6])
  })

  it('starts anew when the registry has lost the upload', async () => {
    let patches = 0
    server.script = (request) => {
      if (request.method === 'PATCH' && ++patches === 3) server.uploads.clear()
      return false
    }
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
  })

  it('cancels an upload whose content cannot be read', async () => {
    const broken = (): Promise<Readable> =>
      Promise.resolve(
        Readable.from(
          (function* () {
            yield large.content.subarray(0, 2500)
            throw new Error('the source broke')
          })(),
          { objectMode: false },
        ),
      )
    expect(await codeOf(repository.put(large.descriptor, broken))).toContain('the source broke')
    expect(server.uploads.size).toBe(0)
  })

  it('finds out the digest of content that comes without one', async () => {
    const { descriptor, content } = large
    const stream = await opener(content)()
    const found = await repository.ingest(stream, content.byteLength, descriptor.mediaType)
    expect(found).toEqual(descriptor)
    expect(server.blobs.get(descriptor.digest)).toEqual(content)
  })

  it.each([-1, 1])('takes no content without a digest that is %i bytes longer', async (more) => {
    const { descriptor, content } = large
    const size = content.byteLength - more
    const found = repository.ingest(await opener(content)(), size, descriptor.mediaType)
    expect(await codeOf(found)).toBe('INTEGRITY')
    expect([server.blobs.size, server.uploads.size]).toEqual([0, 0])
  })

  it.each([
    { status: 201 },
    { status: 204 },
    { status: 200, headers: { range: '0-4499' } },
    // The first chunk's, each time; the chunk's alone.
    { status: 201, headers: { range: '0-999' } },
    { status: 202, headers: { range: '1000-1999' } },
  ])('takes %j for the answer to a chunk that was taken', async (chunkAnswer) => {
    await restart({ chunkAnswer })
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect([sent('POST'), sent('PATCH')]).toEqual([1, 5])
  })

  it('continues in one stream when the registry loses the upload twice', async () => {
    let patches = 0
    server.script = (request, response) => {
      if (request.method !== 'PATCH' || ++patches % 2 === 1) return false
      refuse(response, 416, 'RANGE_INVALID')
      return true
    }
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect([sent('POST'), sent('PATCH')]).toEqual([3, 4])
    expect(server.uploads.size).toBe(0)
  })

  it.each([
    [400, 'DIGEST_INVALID'],
    [416, 'RANGE_INVALID'],
  ])('starts anew when chunks do not add up: %i %s', async (status, code) => {
    let puts = 0
    server.script = (request, response) => {
      if (request.method !== 'PUT' || ++puts > 1) return false
      refuse(response, status, code)
      return true
    }
    await repository.put(large.descriptor, opener(large.content))
    expect(server.blobs.get(large.descriptor.digest)).toEqual(large.content)
    expect([sent('POST'), sent('PATCH')]).toEqual([2, 10])
  })
})
