import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import { blobOf, LAYER, noise, opener } from './images.ts'
import { MemoryRegistry, type MemoryRegistryOptions } from './memory-registry.ts'
import { openRepository } from './open-repository.ts'

const STALL_MS = 60_000
const REPOSITORY = 'team/app'
let server: MemoryRegistry
let repository: RegistryRepository

// Time passes when a test lets it; what goes over the network does not wait for it.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await repository.close()
  await server.stop()
})

const retry = { stallMs: STALL_MS, attempts: 3 }

async function use(options: MemoryRegistryOptions): Promise<void> {
  server = await MemoryRegistry.start(options)
  repository = openRepository(server.host, REPOSITORY, { partBytes: 1000, retry })
}

const sent = (method: string): number =>
  server.requests.filter((request) => request.startsWith(method)).length

describe('a registry that copies a blob before it answers the last request', () => {
  /** Lets time pass at the first PUT before it is answered. */
  function answerLate(ms: number): void {
    server.script = (request, response) => {
      if (request.method !== 'PUT') return false
      server.script = () => false
      void vi.advanceTimersByTimeAsync(ms).then(() => response.writeHead(201).end())
      return true
    }
  }

  const large = blobOf(noise(4500))

  it.each([
    ['a small blob', LAYER, {}],
    ['chunks', large, {}],
    ['one stream', large, { chunks: false }],
  ])('is waited for: %s', async (_title, { descriptor, content }, options) => {
    await use(options)
    answerLate(2 * STALL_MS)
    await repository.push(descriptor, opener(content))
    expect(sent('PUT')).toBe(1)
  })

  it('is not waited for without end', async () => {
    await use({})
    answerLate(5 * STALL_MS + 1)
    await repository.push(LAYER.descriptor, opener(LAYER.content))
    expect(sent('PUT')).toBe(2)
  })
})
