import { afterAll } from 'vitest'
import { describeRegistry } from '../src/describe-registry.ts'
import type { RegistryUnderTest } from '../src/index.ts'
import {
  type MemoryRegistry,
  type MemoryRegistryOptions,
  startRegistry,
  USER,
} from './support/memory-registry.ts'

const started: MemoryRegistry[] = []
afterAll(() => Promise.all(started.map((registry) => registry.stop())))

function open(options: MemoryRegistryOptions, more: Partial<RegistryUnderTest> = {}) {
  return async (): Promise<RegistryUnderTest> => {
    const registry = await startRegistry(options)
    started.push(registry)
    const credentials = options.auth === undefined ? {} : { credentials: USER }
    const features = ['digest-algorithm', ...(options.sparse ? (['sparse'] as const) : [])] as const
    return {
      url: registry.url,
      version: 'dev',
      with: features,
      strict: true,
      ...credentials,
      ...more,
    }
  }
}

describeRegistry('a registry in memory', open({}))
describeRegistry(
  'one with tokens, which takes sparse manifests and sends clients to a store',
  open({ auth: 'bearer', sparse: true, redirects: true }),
)
