import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RegistryRepository } from '../src/index.ts'
import type { Authorizer } from '../src/registry-client.ts'
import { codeOf } from './code-of.ts'
import { blobOf, LAYER, noise, opener } from './images.ts'
import { MemoryRegistry, type MemoryRegistryOptions, refuse } from './memory-registry.ts'
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
    await repository.put(descriptor, opener(content))
    expect(sent('PUT')).toBe(1)
  })

  it('is not waited for without end', async () => {
    await use({})
    answerLate(5 * STALL_MS + 1)
    await repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(sent('PUT')).toBe(2)
  })
})

describe('a search for credentials', () => {
  /** A user types in a password, which takes `ms`. */
  async function startWith(ms: number): Promise<{ calls: number }> {
    server = await MemoryRegistry.start()
    const seen = { calls: 0 }
    let found: string | undefined
    const authorizer = (): Authorizer => ({
      authorization: () => Promise.resolve(found),
      challenged: async (_header, _scopes, signal) => {
        seen.calls += 1
        await vi.advanceTimersByTimeAsync(ms)
        signal?.throwIfAborted()
        found = 'Basic c2VjcmV0'
        return true
      },
    })
    server.script = (request, response) => {
      if (request.headers.authorization !== undefined) return false
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
      return true
    }
    repository = openRepository(server.host, REPOSITORY, { authorizer, retry })
    return seen
  }

  it('has all the time that it needs', async () => {
    const seen = await startWith(10 * STALL_MS)
    expect(await repository.has(LAYER.descriptor)).toBe(false)
    expect(seen.calls).toBe(1)
  })

  it('leaves a registry that is silent afterwards no more time than before', async () => {
    await startWith(10 * STALL_MS)
    const { script } = server
    server.script = (request, response, body) => {
      if (script(request, response, body)) return true
      void vi.advanceTimersByTimeAsync(STALL_MS + 1)
      return true
    }
    expect(await codeOf(repository.has(LAYER.descriptor))).toBe('UNAVAILABLE')
  })

  it('does not keep a failed upload from ending', async () => {
    let isSilent = false
    const authorization = async (_scopes: unknown, signal?: AbortSignal): Promise<undefined> => {
      if (!isSilent) return
      void vi.advanceTimersByTimeAsync(5000)
      await new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('stopped')))
      })
    }
    server = await MemoryRegistry.start()
    server.script = (request, response) => {
      if (request.method !== 'PUT') return false
      isSilent = true
      refuse(response, 403, 'DENIED')
      return true
    }
    const authorizer = (): Authorizer => ({
      authorization,
      challenged: () => Promise.resolve(false),
    })
    repository = openRepository(server.host, REPOSITORY, { authorizer, retry })
    const push = repository.put(LAYER.descriptor, opener(LAYER.content))
    expect(await codeOf(push)).toBe('FORBIDDEN')
  })
})
