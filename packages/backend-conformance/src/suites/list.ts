import assert from 'node:assert/strict'
import { supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertSameFacts,
  infosOf,
  keysOf,
  manyKeys,
  prefixesOf,
  putAll,
  SPECIAL_KEYS,
} from '../content.ts'

export const listSuite: ConformanceSuite = {
  name: 'list',
  cases: [
    {
      title: 'list and listPrefixes of an empty bucket are empty',
      async run({ backend }) {
        assert.deepEqual(await keysOf(backend, ''), [])
        assert.deepEqual(await keysOf(backend, 'no/such/folder/'), [])
        assert.deepEqual(await prefixesOf(backend, ''), [])
        assert.deepEqual(await prefixesOf(backend, 'no/such/folder/'), [])
      },
    },
    {
      title: 'list gives each object the facts that head gives',
      async run({ backend }) {
        await putAll(backend, ['a', 'b/c', 'b/d/e'])
        for (const info of await infosOf(backend, '')) {
          assertSameFacts(info, await backend.head(info.key))
        }
      },
    },
    {
      title: 'list is in key order',
      async run({ backend }) {
        const sorted = ['a!x', 'a-b', 'a.b', 'a/b', 'a/b-c', 'a/c/d', 'a0', 'b', 'c/A', 'c/a']
        await putAll(backend, [
          'b',
          'a/c/d',
          'a0',
          'a-b',
          'c/a',
          'a/b',
          'a.b',
          'c/A',
          'a!x',
          'a/b-c',
        ])
        assert.deepEqual(await keysOf(backend, ''), sorted)
      },
    },
    {
      title: 'key order is by UTF-8 bytes, not by UTF-16 units',
      async run({ backend }) {
        const sorted = ['z', 'é', '\u{ff5e}', '\u{1f600}']
        await putAll(backend, sorted.toReversed())
        assert.deepEqual(await keysOf(backend, ''), sorted)
      },
    },
    {
      title: 'list of foo/ never gives foobar or foo',
      async run({ backend }) {
        await putAll(backend, ['foo-', 'foo.bar', 'foo/a', 'foo/b/c', 'foo0', 'foobar', 'foobaz/x'])
        assert.deepEqual(await keysOf(backend, 'foo/'), ['foo/a', 'foo/b/c'])
      },
    },
    {
      title: 'a prefix may end inside a name',
      async run({ backend }) {
        const wanted = ['foo/ba', 'foo/bar', 'foo/baz/x']
        await putAll(backend, ['fo', 'foo/b', 'foo/bbb', ...wanted, 'foobar', 'goo/bar'])
        assert.deepEqual(await keysOf(backend, 'foo/ba'), wanted)
        assert.deepEqual(await keysOf(backend, 'fo'), [
          'fo',
          'foo/b',
          ...wanted,
          'foo/bbb',
          'foobar',
        ])
      },
    },
    {
      title: 'list starts after a key, whether that key exists or not',
      async run({ backend }) {
        const keys = ['a', 'b-c', 'b/a', 'b/c', 'b0', 'c/d/e']
        await putAll(backend, keys)
        const points = [
          '',
          'a',
          'a0',
          'b',
          'b-',
          'b/',
          'b/a',
          'b/b',
          'b/c',
          'b/c0',
          'c/d',
          'c/d/e',
          'd',
        ]
        for (const point of points) {
          const expected = keys.filter((key) => key > point)
          assert.deepEqual(await keysOf(backend, '', point), expected, `after ${point}`)
          const below = expected.filter((key) => key.startsWith('b/'))
          assert.deepEqual(await keysOf(backend, 'b/', point), below, `b/ after ${point}`)
        }
      },
    },
    {
      title: 'list gives every key, however many pages that takes',
      async run({ backend }) {
        const keys = manyKeys('many/')
        await putAll(backend, keys)
        assert.deepEqual(await keysOf(backend, 'many/'), keys)
        assert.deepEqual(await keysOf(backend, '', keys[1049]), keys.slice(1050))
        assert.deepEqual(await prefixesOf(backend, ''), ['many/'])
      },
    },
    {
      title: 'list can be left early',
      async run({ backend }) {
        await putAll(backend, ['a', 'b', 'c'])
        for await (const { key } of backend.list('')) {
          assert.equal(key, 'a')
          break
        }
        assert.deepEqual(await keysOf(backend, ''), ['a', 'b', 'c'])
      },
    },
    {
      title: 'list gives special keys as they were put',
      async run({ backend }) {
        await putAll(backend, SPECIAL_KEYS)
        const byBytes = SPECIAL_KEYS.toSorted((a, b) =>
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
        )
        assert.deepEqual(await keysOf(backend, ''), byBytes)
        assert.deepEqual(await keysOf(backend, 'a b/'), ['a b/c d'])
        assert.deepEqual(await keysOf(backend, 'plus+'), ['plus+sign'])
        assert.deepEqual(await prefixesOf(backend, ''), ['a b/', 'ünï/'])
      },
    },
    {
      title: 'listKeys gives the keys of list, in order',
      needs: ['listKeys'],
      async run({ backend }) {
        assert.ok(supports(backend, 'listKeys'))
        await putAll(backend, [...SPECIAL_KEYS, 'dir/a', 'dir/b/c', 'dir-b', 'dir0'])
        for (const [prefix, startAfter] of [
          ['', undefined],
          ['dir', undefined],
          ['dir/', 'dir/a'],
        ] as const) {
          const keys: string[] = []
          for await (const key of backend.listKeys(prefix, { startAfter })) keys.push(key)
          const listed: string[] = []
          for await (const { key } of backend.list(prefix, { startAfter })) listed.push(key)
          assert.deepEqual(keys, listed)
        }
      },
    },
    {
      title: 'listPrefixes gives the folders just below the prefix, once each and in order',
      async run({ backend }) {
        await putAll(backend, ['a-b/x', 'a/b', 'a/c/d', 'a/c/e/f', 'a/g/h', 'a0/x', 'file'])
        assert.deepEqual(await prefixesOf(backend, ''), ['a-b/', 'a/', 'a0/'])
        assert.deepEqual(await prefixesOf(backend, 'a/'), ['a/c/', 'a/g/'])
        assert.deepEqual(await prefixesOf(backend, 'a/c/'), ['a/c/e/'])
        assert.deepEqual(await prefixesOf(backend, 'a/c/e/'), [])
      },
    },
    {
      title: 'listPrefixes gives no folder whose last object is gone',
      async run({ backend }) {
        await putAll(backend, ['a/b/c', 'd/e'])
        await backend.delete(['a/b/c'])
        assert.deepEqual(await prefixesOf(backend, ''), ['d/'])
      },
    },
  ],
}
