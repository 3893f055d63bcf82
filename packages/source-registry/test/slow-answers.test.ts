import { MEDIA_TYPE } from '@s3lo/core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { codeOf } from './code-of.ts'
import { blobOf, bytesOf, IMAGE, listOf, noise } from './images.ts'
import { MemoryRegistry, type Script } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const REPOSITORY = 'team/app'
let server: MemoryRegistry
let repository: RegistryRepository

// Time passes when a test lets it; what goes over the network does not wait for it.
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  server = await MemoryRegistry.start()
  const retry = { stallMs: 60_000, attempts: 2 }
  repository = openRepository(server.host, REPOSITORY, { retry })
})
afterEach(async () => {
  vi.useRealTimers()
  await repository.close()
  await server.stop()
})

/** Answers with a body of which every write is followed by 3 s. */
function drip(
  status: number,
  headers: Record<string, string>,
  body: Uint8Array,
  bytes = 1,
): Script {
  return (_request, response) => {
    response.writeHead(status, headers)
    void (async () => {
      for (let at = 0; at < body.byteLength && !response.destroyed; at += bytes) {
        await new Promise((resolve) => {
          response.write(body.subarray(at, at + bytes), resolve)
        })
        for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
        await vi.advanceTimersByTimeAsync(3000)
      }
      response.end()
    })()
    return true
  }
}

const LARGE = blobOf(noise(100_000))
const type = { 'content-type': MEDIA_TYPE.ociManifest }

it.each([
  ['a blob', () => repository.fetch(LARGE.descriptor).then(bytesOf), LARGE.content, {}],
  ['a manifest', () => repository.fetch(IMAGE.descriptor), IMAGE.content, type],
  ['a list', () => listOf(repository.tags(REPOSITORY)), Buffer.from(' '.repeat(9999)), {}],
])('%s that drips is given up', async (_title, read, content, headers) => {
  server.script = drip(200, headers, content)
  expect(await codeOf(read())).toBe('UNAVAILABLE')
  expect(server.requests).toHaveLength(2)
})

it('a document that comes slowly over an honest line is read to its end', async () => {
  const tags = Array.from({ length: 2000 }, (_, i) => `version-${i}`)
  server.script = drip(200, {}, Buffer.from(JSON.stringify({ tags })), 300)
  expect(await listOf(repository.tags(REPOSITORY))).toHaveLength(2000)
})

it('an error whose body drips is that error', async () => {
  server.script = drip(404, {}, noise(9999))
  expect(await codeOf(repository.fetch(LARGE.descriptor))).toBe('NOT_FOUND')
  expect(server.requests).toHaveLength(1)
})
