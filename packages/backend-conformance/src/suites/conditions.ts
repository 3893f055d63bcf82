import assert from 'node:assert/strict'
import { isS3loError, type StorageBackend, type WriteCondition } from '@s3lo/core'
import type { CaseContext, ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertMissing,
  assertRejects,
  bytesOf,
  endlessStream,
  readObject,
  streamOf,
} from '../content.ts'

const ABSENT: WriteCondition = { kind: 'absent' }
const RACERS = 8

export const conditionsSuite: ConformanceSuite = {
  name: 'conditions',
  cases: [
    {
      title: 'absent creates an object where there is none',
      needs: ['createOnly'],
      async run({ backend }) {
        await backend.put('bytes', Buffer.from('x'), { condition: ABSENT })
        await assertContent(backend, 'bytes', Buffer.from('x'))
        await backend.put('stream', streamOf(bytesOf(100_000)), { condition: ABSENT })
        await assertContent(backend, 'stream', bytesOf(100_000))
      },
    },
    {
      title: 'absent throws CONFLICT where there is an object, and leaves it as it was',
      needs: ['createOnly'],
      async run({ backend }) {
        const { etag } = await backend.put('key', Buffer.from('first'))
        const again = backend.put('key', Buffer.from('later'), { condition: ABSENT })
        await assertRejects(again, 'CONFLICT')
        const stream = backend.put('key', streamOf(bytesOf(100_000)), { condition: ABSENT })
        await assertRejects(stream, 'CONFLICT')
        await assertContent(backend, 'key', Buffer.from('first'))
        assert.equal((await backend.head('key'))?.etag, etag)
      },
    },
    {
      title: 'absent lets exactly one of several racing puts win, and the rest throw CONFLICT',
      needs: ['createOnly'],
      async run(context) {
        for (const folder of ['one/', 'two/', 'three/']) await race(context, `${folder}key`, ABSENT)
      },
    },
    {
      title: 'absent creates again after a delete',
      needs: ['createOnly'],
      async run({ backend }) {
        await backend.put('key', Buffer.from('first'))
        await backend.delete(['key'])
        await backend.put('key', Buffer.from('again'), { condition: ABSENT })
        await assertContent(backend, 'key', Buffer.from('again'))
      },
    },
    {
      title: 'unchanged replaces the object that has the etag',
      needs: ['compareAndSwap'],
      async run({ backend, second }) {
        const { etag } = await backend.put('key', Buffer.from('first'))
        const condition: WriteCondition = { kind: 'unchanged', etag }
        await second.put('key', Buffer.from('later'), { condition })
        await assertContent(backend, 'key', Buffer.from('later'))
      },
    },
    {
      title: 'unchanged throws CONFLICT once the object has changed, and leaves it as it is',
      needs: ['compareAndSwap'],
      async run({ backend, second }) {
        const { etag } = await backend.put('key', Buffer.from('first'))
        await second.put('key', Buffer.from('other'))
        const condition: WriteCondition = { kind: 'unchanged', etag }
        await assertRejects(backend.put('key', Buffer.from('third'), { condition }), 'CONFLICT')
        await assertContent(backend, 'key', Buffer.from('other'))
      },
    },
    {
      title: 'unchanged throws CONFLICT when the object is gone, and makes none',
      needs: ['compareAndSwap'],
      async run({ backend }) {
        const { etag } = await backend.put('key', Buffer.from('first'))
        await backend.delete(['key'])
        const condition: WriteCondition = { kind: 'unchanged', etag }
        await assertRejects(backend.put('key', Buffer.from('later'), { condition }), 'CONFLICT')
        await assertMissing(backend, 'key')
      },
    },
    {
      title: 'unchanged takes the etag that get and list give',
      needs: ['compareAndSwap'],
      async run({ backend }) {
        await backend.put('key', Buffer.from('one'))
        const { info, body } = await backend.get('key')
        body.destroy()
        const condition = { kind: 'unchanged', etag: info.etag } as const
        await backend.put('key', Buffer.from('two'), { condition })
        for await (const { etag } of backend.list('key')) {
          await backend.put('key', Buffer.from('three'), { condition: { kind: 'unchanged', etag } })
        }
        await assertContent(backend, 'key', Buffer.from('three'))
      },
    },
    {
      title: 'unchanged lets exactly one of several racing puts win, and the rest throw CONFLICT',
      needs: ['compareAndSwap'],
      async run(context) {
        for (const key of ['one', 'two', 'three']) {
          const { etag } = await context.backend.put(key, Buffer.from('first'))
          await race(context, key, { kind: 'unchanged', etag })
        }
      },
    },
    {
      title: 'a put that is refused destroys the body it did not read',
      needs: ['createOnly'],
      async run({ backend }) {
        await backend.put('key', Buffer.from('first'))
        const body = endlessStream()
        // A store may read some of it before it refuses, but it cannot read it to the end.
        await assertRejects(
          backend.put('key', body, { condition: ABSENT, size: 1_000_000 }),
          'CONFLICT',
        )
        assert.ok(body.destroyed, 'the body is still open')
      },
    },
    {
      title: 'without the guarantee, absent throws UNSUPPORTED before anything is written',
      needs: ['no createOnly'],
      async run({ backend }) {
        await assertUnsupported(backend, ABSENT)
      },
    },
    {
      title: 'without the guarantee, unchanged throws UNSUPPORTED before anything is written',
      needs: ['no compareAndSwap'],
      async run({ backend }) {
        await assertUnsupported(backend, { kind: 'unchanged', etag: 'any' })
      },
    },
  ],
}

async function race(
  { backend, second }: CaseContext,
  key: string,
  condition: WriteCondition,
): Promise<void> {
  const contents = Array.from({ length: RACERS }, (_, index) => bytesOf(1000, index + 1))
  const puts = contents.map((content, index) =>
    (index % 2 === 0 ? backend : second).put(key, content, { condition }),
  )
  const outcomes = await Promise.allSettled(puts)
  const winners = contents.filter((_, index) => outcomes[index]?.status === 'fulfilled')
  assert.equal(winners.length, 1, `${winners.length} of ${RACERS} puts won`)
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') {
      assert.ok(isS3loError(outcome.reason, 'CONFLICT'), String(outcome.reason))
    }
  }
  const actual = await readObject(backend, key)
  assert.ok(winners[0]?.equals(actual), 'the object is not what the winner put')
}

async function assertUnsupported(
  backend: StorageBackend,
  condition: WriteCondition,
): Promise<void> {
  const body = endlessStream()
  await assertRejects(backend.put('key', body, { condition }), 'UNSUPPORTED')
  assert.ok(body.destroyed, 'the body is still open')
  await assertMissing(backend, 'key')
}
