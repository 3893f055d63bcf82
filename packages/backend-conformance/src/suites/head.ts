import assert from 'node:assert/strict'
import type { ConformanceSuite } from '../conformance-case.ts'
import { rejection } from '../content.ts'
import { isS3loError } from '@s3lo/core'

export const headSuite: ConformanceSuite = {
  name: 'head',
  cases: [
    {
      title: 'head gives undefined for a key that is not there',
      async run({ backend }) {
        assert.equal(await backend.head('missing'), undefined)
        assert.equal(await backend.head('no/such/folder/missing'), undefined)
      },
    },
    {
      title: 'head gives undefined for a folder of other keys',
      async run({ backend }) {
        await backend.put('folder/key', Buffer.from('x'))
        assert.equal(await backend.head('folder'), undefined)
      },
    },
    {
      title: 'head gives the key, the size, the etag and the date of an object',
      async run({ backend }) {
        await backend.put('some/key', Buffer.from('hello'))
        const info = await backend.head('some/key')
        assert.equal(info?.key, 'some/key')
        assert.equal(info?.size, 5)
        assert.ok(info.etag.length > 0, 'the etag is empty')
        assert.ok(!Number.isNaN(info.lastModified.getTime()), 'the date is not a date')
      },
    },
    {
      title: 'a request that is refused is an error, and never means missing',
      needs: ['openDenied'],
      async run({ openDenied }) {
        const denied = await openDenied()
        const list = denied.list('')[Symbol.asyncIterator]()
        const listPrefixes = denied.listPrefixes('')[Symbol.asyncIterator]()
        const looks = {
          head: () => denied.head('key'),
          get: () => denied.get('key'),
          list: () => list.next(),
          listPrefixes: () => listPrefixes.next(),
          put: () => denied.put('key', Buffer.from('x')),
        }
        for (const [method, look] of Object.entries(looks)) {
          const error = await rejection(look())
          assert.ok(isS3loError(error), `${method} throws ${String(error)}`)
          assert.notEqual(error.code, 'NOT_FOUND', `${method} calls it missing`)
          assert.notEqual(error.code, 'INTERNAL', `${method} does not know its store's errors`)
        }
      },
    },
    {
      title: 'a delete that is refused is reported, by an error or by a failure for the key',
      needs: ['openDenied'],
      async run({ openDenied }) {
        const denied = await openDenied()
        const failures = await denied.delete(['key']).catch((error: unknown) => {
          assert.ok(isS3loError(error), String(error))
          return [{ key: 'key', error }]
        })
        assert.deepEqual(
          failures.map(({ key }) => key),
          ['key'],
        )
        assert.ok(isS3loError(failures[0]?.error), 'the failure carries no error')
      },
    },
  ],
}
