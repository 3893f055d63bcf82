import assert from 'node:assert/strict'
import { type ObjectInfo, S3loError, type StorageBackend, supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertMissing,
  assertRejects,
  assertSameFacts,
  bytesOf,
  keysOf,
  MEBIBYTE,
  SPECIAL_KEYS,
} from '../content.ts'

export const copySuite: ConformanceSuite = {
  name: 'copyFrom',
  cases: [
    {
      title: 'copyFrom copies an object inside the bucket and leaves the source',
      needs: ['copyFrom'],
      async run({ backend, second }) {
        const content = bytesOf(3 * MEBIBYTE + 1)
        await backend.put('from/key', content)
        const info = await copy(backend, second, 'from/key', 'to/another/key')
        assertSameFacts(info, await backend.head('to/another/key'))
        assert.equal(info?.size, content.byteLength)
        await assertContent(backend, 'to/another/key', content)
        await assertContent(backend, 'from/key', content)
      },
    },
    {
      title: 'copyFrom replaces an object, and empty objects and special keys are copied too',
      needs: ['copyFrom'],
      async run({ backend }) {
        await backend.put('empty', new Uint8Array())
        for (const [index, key] of SPECIAL_KEYS.entries()) {
          await backend.put(key, Buffer.from(key))
          await copy(backend, backend, key, 'copy')
          await assertContent(backend, 'copy', Buffer.from(key))
          await copy(backend, backend, 'empty', `${index}/${key}`)
          await assertContent(backend, `${index}/${key}`, new Uint8Array())
        }
      },
    },
    {
      title: 'copyFrom of an object onto itself leaves its bytes',
      needs: ['copyFrom'],
      async run({ backend, second }) {
        await backend.put('key', bytesOf(1000))
        const info = await copy(backend, second, 'key', 'key')
        assert.equal(info?.size, 1000)
        await assertContent(backend, 'key', bytesOf(1000))
      },
    },
    {
      title: 'copyFrom from another bucket copies, or gives undefined and makes nothing',
      needs: ['copyFrom'],
      async run({ backend, openOther }) {
        const other = await openOther()
        await other.put('key', bytesOf(1000))
        const info = await copy(backend, other, 'key', 'copy')
        if (info === undefined) await assertMissing(backend, 'copy')
        else await assertContent(backend, 'copy', bytesOf(1000))
      },
    },
    {
      title: 'copyFrom a foreign source gives undefined and makes nothing',
      needs: ['copyFrom'],
      async run({ backend }) {
        assert.equal(await copy(backend, foreign, 'key', 'copy'), undefined)
        assert.deepEqual(await keysOf(backend, ''), [])
      },
    },
    {
      title:
        'copyFrom with an etag copies that version only, else throws CONFLICT and makes nothing',
      needs: ['copyFrom'],
      async run({ backend }) {
        assert.ok(supports(backend, 'copyFrom'))
        const old = await backend.put('key', bytesOf(1000))
        const now = await backend.put('key', bytesOf(1001))
        const stale = backend.copyFrom(backend, 'key', 'copy', { sourceEtag: old.etag })
        await assertRejects(stale, 'CONFLICT')
        await assertMissing(backend, 'copy')
        await backend.copyFrom(backend, 'key', 'copy', { sourceEtag: now.etag })
        await assertContent(backend, 'copy', bytesOf(1001))
      },
    },
    {
      title: 'copyFrom throws NOT_FOUND when the source object is missing, and makes nothing',
      needs: ['copyFrom'],
      async run({ backend }) {
        await assertRejects(copy(backend, backend, 'missing', 'copy'), 'NOT_FOUND')
        await assertMissing(backend, 'copy')
      },
    },
  ],
}

async function copy(
  backend: StorageBackend,
  source: StorageBackend,
  sourceKey: string,
  key: string,
): Promise<ObjectInfo | undefined> {
  assert.ok(supports(backend, 'copyFrom'))
  return backend.copyFrom(source, sourceKey, key)
}

/** A store that no backend knows: a backend that reads bytes from it took it for one of its own. */
const foreign: StorageBackend = {
  scheme: 'foreign',
  bucket: 'elsewhere',
  guarantees: { createOnly: false, compareAndSwap: false, deadlines: false },
  head: refuse,
  get: refuse,
  put: refuse,
  delete: refuse,
  list: refuse,
  listPrefixes: refuse,
}

function refuse(): never {
  throw new S3loError('INTERNAL', 'a foreign source must not be asked')
}
