import assert from 'node:assert/strict'
import type { ConformanceSuite } from '../conformance-case.ts'
import { assertMissing, keysOf, manyKeys, putAll, SPECIAL_KEYS } from '../content.ts'

export const deleteSuite: ConformanceSuite = {
  name: 'delete',
  cases: [
    {
      title: 'delete removes an object',
      async run({ backend }) {
        await putAll(backend, ['a/b', 'a/c'])
        assert.deepEqual(await backend.delete(['a/b']), [])
        await assertMissing(backend, 'a/b')
        assert.deepEqual(await keysOf(backend, ''), ['a/c'])
      },
    },
    {
      title: 'delete of a key that is not there is no failure',
      async run({ backend }) {
        await putAll(backend, ['a/b'])
        assert.deepEqual(await backend.delete(['missing', 'no/such/key', 'a/b', 'a/b']), [])
        assert.deepEqual(await backend.delete(['a/b']), [])
        await assertMissing(backend, 'a/b')
      },
    },
    {
      title: 'delete of no keys does nothing',
      async run({ backend }) {
        await putAll(backend, ['a'])
        assert.deepEqual(await backend.delete([]), [])
        assert.deepEqual(await keysOf(backend, ''), ['a'])
      },
    },
    {
      title: 'delete takes a key by its exact name, never by prefix',
      async run({ backend }) {
        await putAll(backend, ['foo/bar', 'foo/bar2', 'foobar'])
        assert.deepEqual(await backend.delete(['foo', 'fo', 'foo/ba']), [])
        assert.deepEqual(await keysOf(backend, ''), ['foo/bar', 'foo/bar2', 'foobar'])
      },
    },
    {
      title: 'delete removes more keys than one request of any store takes',
      async run({ backend }) {
        const keys = manyKeys('many/')
        await putAll(backend, [...keys, 'many0'])
        assert.deepEqual(await backend.delete(keys), [])
        assert.deepEqual(await keysOf(backend, ''), ['many0'])
      },
    },
    {
      title: 'delete removes special keys',
      async run({ backend }) {
        await putAll(backend, SPECIAL_KEYS)
        assert.deepEqual(await backend.delete(SPECIAL_KEYS), [])
        assert.deepEqual(await keysOf(backend, ''), [])
      },
    },
    {
      title: 'a deleted key can be put again',
      async run({ backend }) {
        for (let round = 0; round < 5; round += 1) {
          await backend.put('deep/er/key', Buffer.from('x'))
          await backend.delete(['deep/er/key'])
        }
        await putAll(backend, ['deep/er/key'])
        assert.deepEqual(await keysOf(backend, ''), ['deep/er/key'])
      },
    },
    {
      title: 'deletes and puts in one folder at the same time lose no put',
      async run({ backend, second }) {
        for (let round = 0; round < 20; round += 1) {
          await backend.put('race/old', Buffer.from('old'))
          await Promise.all([
            backend.delete(['race/old']),
            second.put(`race/new`, Buffer.from('new')),
          ])
          assert.deepEqual(await keysOf(backend, ''), ['race/new'])
          await backend.delete(['race/new'])
        }
      },
    },
  ],
}
