import assert from 'node:assert/strict'
import { type ObjectInfo, type StorageBackend, supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertMissing,
  assertRejects,
  assertSameFacts,
  bytesOf,
} from '../content.ts'

export const touchSuite: ConformanceSuite = {
  name: 'touch',
  cases: [
    {
      title: 'touch makes lastModified now, by the clock of the store',
      needs: ['touch'],
      async run({ backend }) {
        await backend.put('key', bytesOf(1000))
        const before = await backend.head('key')
        await clockPasses(backend)
        await touch(backend, 'key')
        const after = await backend.head('key')
        assert.ok(before && after && after.lastModified > before.lastModified, 'it is as old')
      },
    },
    {
      title: 'now is between the dates of two writes, and writes no object',
      needs: ['now'],
      async run({ backend }) {
        assert.ok(supports(backend, 'now'))
        const before = await backend.put('key', bytesOf(10))
        const now = await backend.now()
        const after = await backend.put('key', bytesOf(10))
        assert.ok(
          now === undefined || now >= before.lastModified,
          'it is earlier than a write before',
        )
        assert.ok(now === undefined || now <= after.lastModified, 'it is later than a write after')
        assert.equal((await Array.fromAsync(backend.list(''))).length, 1)
      },
    },
    {
      title: 'touch leaves the bytes and the size',
      needs: ['touch'],
      async run({ backend }) {
        await backend.put('a+b %/key', bytesOf(1000))
        const touched = await touch(backend, 'a+b %/key')
        assert.equal(touched.key, 'a+b %/key')
        assert.equal(touched.size, 1000)
        await assertContent(backend, 'a+b %/key', bytesOf(1000))
      },
    },
    {
      title: 'touch gives the facts that head gives afterwards',
      needs: ['touch'],
      async run({ backend }) {
        await backend.put('key', bytesOf(1000))
        assertSameFacts(await touch(backend, 'key'), await backend.head('key'))
      },
    },
    {
      title: 'touch throws NOT_FOUND for a key that is not there, and makes none',
      needs: ['touch'],
      async run({ backend }) {
        await assertRejects(touch(backend, 'no/such/key'), 'NOT_FOUND')
        await assertMissing(backend, 'no/such/key')
      },
    },
  ],
}

async function touch(backend: StorageBackend, key: string): Promise<ObjectInfo> {
  assert.ok(supports(backend, 'touch'))
  return backend.touch(key)
}

/** Writes until the store's clock has moved on: dates of a store may be whole seconds. */
async function clockPasses(backend: StorageBackend): Promise<void> {
  const started = performance.now()
  let first: Date | undefined
  while (performance.now() - started < 5000) {
    await backend.put('clock', Buffer.from('tick'))
    const now = (await backend.head('clock'))?.lastModified
    first ??= now
    if (first && now && now > first) return
  }
  assert.fail('the clock of the store stands still')
}
