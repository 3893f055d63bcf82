import assert from 'node:assert/strict'
import { type MoveOptions, type ObjectInfo, type StorageBackend, supports } from '@s3lo/core'
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

export const moveSuite: ConformanceSuite = {
  name: 'move',
  cases: [
    {
      title: 'move gives an object another key, and nothing of it stays',
      needs: ['move'],
      async run({ backend, second }) {
        const content = bytesOf(3 * MEBIBYTE + 1)
        await backend.put('from/key', content)
        await backend.put('other', bytesOf(10))
        const info = await move(backend, 'from/key', 'to/another/key')
        assertSameFacts(info, await second.head('to/another/key'))
        await assertContent(second, 'to/another/key', content)
        await assertMissing(second, 'from/key')
        assert.deepEqual(await keysOf(second, ''), ['other', 'to/another/key'])
      },
    },
    {
      title: 'move replaces an object, and empty objects and special keys are moved too',
      needs: ['move'],
      async run({ backend }) {
        for (const key of SPECIAL_KEYS) {
          await backend.put(key, Buffer.from(key))
          await move(backend, key, 'goal')
          await assertContent(backend, 'goal', Buffer.from(key))
          await backend.put('empty', new Uint8Array())
          await move(backend, 'empty', key)
          await assertContent(backend, key, new Uint8Array())
        }
        assert.deepEqual(await keysOf(backend, ''), [...SPECIAL_KEYS, 'goal'].toSorted(byBytes))
      },
    },
    {
      title: 'move dates the object now',
      needs: ['move'],
      async run({ backend }) {
        await backend.put('from', bytesOf(1000))
        const clock = await backend.put('clock', bytesOf(1))
        const info = await move(backend, 'from', 'to')
        assert.ok(info && info.lastModified >= clock.lastModified, 'the date is an earlier one')
      },
    },
    {
      title: 'move of an object onto itself leaves it',
      needs: ['move'],
      async run({ backend }) {
        await backend.put('key', bytesOf(1000))
        const info = await move(backend, 'key', 'key')
        assert.equal(info?.size, 1000)
        await assertContent(backend, 'key', bytesOf(1000))
      },
    },
    {
      title: 'move with an etag moves that version only, else throws CONFLICT and changes nothing',
      needs: ['move'],
      async run({ backend }) {
        const old = await backend.put('key', bytesOf(1000))
        const now = await backend.put('key', bytesOf(1001))
        await assertRejects(move(backend, 'key', 'goal', { sourceEtag: old.etag }), 'CONFLICT')
        await assertMissing(backend, 'goal')
        assertSameFacts(now, await backend.head('key'))
        await move(backend, 'key', 'goal', { sourceEtag: now.etag })
        await assertContent(backend, 'goal', bytesOf(1001))
        await assertMissing(backend, 'key')
      },
    },
    {
      title: 'move if absent never replaces an object: CONFLICT, and both stay',
      needs: ['move', 'createOnly'],
      async run({ backend }) {
        const from = await backend.put('from', bytesOf(1000))
        const goal = await backend.put('goal', bytesOf(5))
        const condition = { kind: 'absent' } as const
        await assertRejects(move(backend, 'from', 'goal', { condition }), 'CONFLICT')
        assertSameFacts(from, await backend.head('from'))
        assertSameFacts(goal, await backend.head('goal'))
        await move(backend, 'from', 'new', { condition })
        await assertContent(backend, 'new', bytesOf(1000))
      },
    },
    {
      title: 'of many racing moves of one object if absent exactly one wins',
      needs: ['move', 'createOnly'],
      async run({ backend, second }) {
        const condition = { kind: 'absent' } as const
        for (let round = 0; round < 10; round++) {
          const goal = `goal-${round}`
          const content = new Map<string, Buffer>()
          for (let n = 0; n < 6; n++) content.set(`from-${round}-${n}`, bytesOf(1000 + n))
          for (const [key, bytes] of content) await backend.put(key, bytes)
          const outcomes = await Promise.allSettled(
            [...content.keys()].map((key, n) =>
              move(n % 2 === 0 ? backend : second, key, goal, { condition }),
            ),
          )
          const winners = [...content.keys()].filter((_, n) => outcomes[n]?.status === 'fulfilled')
          assert.equal(winners.length, 1, `${winners.length} moves won`)
          const [winner = ''] = winners
          await assertContent(backend, goal, content.get(winner) ?? Buffer.alloc(0))
          await assertMissing(backend, winner)
          assert.equal((await keysOf(backend, `from-${round}-`)).length, content.size - 1)
        }
      },
    },
    {
      title: 'move if unchanged replaces that version only',
      needs: ['move', 'compareAndSwap'],
      async run({ backend }) {
        await backend.put('from', bytesOf(1000))
        const old = await backend.put('goal', bytesOf(5))
        const now = await backend.put('goal', bytesOf(6))
        const onto = ({ etag }: ObjectInfo): MoveOptions => ({
          condition: { kind: 'unchanged', etag },
        })
        await assertRejects(move(backend, 'from', 'goal', onto(old)), 'CONFLICT')
        await assertContent(backend, 'goal', bytesOf(6))
        await move(backend, 'from', 'goal', onto(now))
        await assertContent(backend, 'goal', bytesOf(1000))
      },
    },
    {
      title: 'move throws NOT_FOUND when the source is missing, and leaves the goal',
      needs: ['move'],
      async run({ backend }) {
        await backend.put('goal', bytesOf(5))
        await assertRejects(move(backend, 'missing', 'goal'), 'NOT_FOUND')
        await assertContent(backend, 'goal', bytesOf(5))
      },
    },
    {
      title: 'a reader of the source or of what was at the goal gets the whole of it',
      needs: ['move'],
      async run({ backend, second }) {
        await backend.put('from', bytesOf(3 * MEBIBYTE))
        await backend.put('goal', bytesOf(3 * MEBIBYTE, 2))
        const readers = await Promise.all([second.get('from'), second.get('goal')])
        await move(backend, 'from', 'goal')
        const [from, goal] = await Promise.all(readers.map(({ body }) => body.toArray()))
        assert.ok(Buffer.concat(from ?? []).equals(bytesOf(3 * MEBIBYTE)))
        assert.ok(Buffer.concat(goal ?? []).equals(bytesOf(3 * MEBIBYTE, 2)))
      },
    },
  ],
}

async function move(
  backend: StorageBackend,
  sourceKey: string,
  key: string,
  options?: MoveOptions,
): Promise<ObjectInfo | undefined> {
  assert.ok(supports(backend, 'move'))
  const info = await backend.move(sourceKey, key, options)
  assert.ok(info, 'an object that was just put was not moved')
  return info
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
