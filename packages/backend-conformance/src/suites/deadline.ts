import assert from 'node:assert/strict'
import type { StorageBackend } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import { assertContent, assertMissing, assertRejects, bytesOf, streamOf } from '../content.ts'

const HOUR_MS = 3_600_000

export const deadlineSuite: ConformanceSuite = {
  name: 'deadline',
  cases: [
    {
      title: 'a put before its deadline takes effect',
      needs: ['deadlines'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, 1)
        await backend.put('bytes', Buffer.from('x'), { notAfter })
        await assertContent(backend, 'bytes', Buffer.from('x'))
        await backend.put('stream', streamOf(bytesOf(100_000)), { notAfter })
        await assertContent(backend, 'stream', bytesOf(100_000))
      },
    },
    {
      title: 'a put after its deadline is FORBIDDEN and changes nothing',
      needs: ['deadlines'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, -1)
        await assertRejects(backend.put('new', Buffer.from('x'), { notAfter }), 'FORBIDDEN')
        await assertRejects(backend.put('new', streamOf(bytesOf(9)), { notAfter }), 'FORBIDDEN')
        await assertMissing(backend, 'new')
        await backend.put('old', Buffer.from('old'))
        await assertRejects(backend.put('old', Buffer.from('new'), { notAfter }), 'FORBIDDEN')
        await assertContent(backend, 'old', Buffer.from('old'))
      },
    },
    {
      title: 'a put with a condition after its deadline is FORBIDDEN and changes nothing',
      needs: ['deadlines', 'createOnly'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, -1)
        const condition = { kind: 'absent' } as const
        const late = backend.put('new', Buffer.from('x'), { notAfter, condition })
        await assertRejects(late, 'FORBIDDEN')
        await assertMissing(backend, 'new')
      },
    },
    {
      title: 'a delete before its deadline takes effect',
      needs: ['deadlines'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, 1)
        await backend.put('key', Buffer.from('x'))
        assert.deepEqual(await backend.delete(['key', 'missing'], { notAfter }), [])
        await assertMissing(backend, 'key')
      },
    },
    {
      title: 'a delete after its deadline gives each key a FORBIDDEN failure and changes nothing',
      needs: ['deadlines'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, -1)
        await backend.put('a', Buffer.from('x'))
        await backend.put('b', Buffer.from('y'))
        const failures = await backend.delete(['a', 'b'], { notAfter })
        assert.deepEqual(
          failures.map(({ key, error }) => [key, error.code]),
          [
            ['a', 'FORBIDDEN'],
            ['b', 'FORBIDDEN'],
          ],
        )
        await assertContent(backend, 'a', Buffer.from('x'))
        await assertContent(backend, 'b', Buffer.from('y'))
      },
    },
    {
      title: 'without the guarantee, a deadline throws UNSUPPORTED before anything is changed',
      needs: ['no deadlines'],
      async run({ backend }) {
        const notAfter = await hoursFromNow(backend, 1)
        await assertRejects(backend.put('new', Buffer.from('x'), { notAfter }), 'UNSUPPORTED')
        await assertMissing(backend, 'new')
        await backend.put('old', Buffer.from('old'))
        await assertRejects(backend.delete(['old'], { notAfter }), 'UNSUPPORTED')
        await assertContent(backend, 'old', Buffer.from('old'))
      },
    },
  ],
}

/** By the store's clock, which need not be ours. */
async function hoursFromNow(backend: StorageBackend, hours: number): Promise<Date> {
  const { lastModified } = await backend.put('clock', Buffer.from('tick'))
  return new Date(lastModified.getTime() + hours * HOUR_MS)
}
