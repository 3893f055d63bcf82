import { describeRegistry } from '@s3lo/registry-conformance/vitest'
import { afterAll } from 'vitest'
import { type ServedStore, serveMemory } from './support/served-store.ts'

const served: ServedStore[] = []
afterAll(() => Promise.all(served.map((each) => each[Symbol.asyncDispose]())))

describeRegistry('a store in memory', async () => {
  const store = await serveMemory()
  served.push(store)
  return { url: store.url, version: 'dev', with: ['digest-algorithm'] }
})
