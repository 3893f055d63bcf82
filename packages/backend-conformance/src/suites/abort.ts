import assert from 'node:assert/strict'
import { type StorageBackend, supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertMissing,
  bytesOf,
  endlessStream,
  keysOf,
  MEBIBYTE,
  putAll,
  readBody,
  rejection,
} from '../content.ts'

export const abortSuite: ConformanceSuite = {
  name: 'abort',
  cases: [
    {
      title: "a call whose signal is aborted already rejects with the signal's reason",
      async run({ backend }) {
        await backend.put('key', Buffer.from('x'))
        const reason = new Error('stop')
        const signal = AbortSignal.abort(reason)
        const body = endlessStream()
        const calls: Record<string, () => Promise<unknown>> = {
          head: () => backend.head('key', { signal }),
          get: () => backend.get('key', { signal }),
          put: () => backend.put('new', body, { signal }),
          delete: () => backend.delete(['key'], { signal }),
          list: () => backend.list('', { signal })[Symbol.asyncIterator]().next(),
          listPrefixes: () => backend.listPrefixes('', { signal })[Symbol.asyncIterator]().next(),
        }
        if (supports(backend, 'copyFrom')) {
          calls['copyFrom'] = () => backend.copyFrom(backend, 'key', 'new', { signal })
        }
        if (supports(backend, 'move')) calls['move'] = () => backend.move('key', 'new', { signal })
        if (supports(backend, 'touch')) calls['touch'] = () => backend.touch('key', { signal })
        try {
          for (const [method, call] of Object.entries(calls)) {
            assert.equal(await rejection(call()), reason, method)
          }
        } finally {
          body.destroy()
        }
        await assertContent(backend, 'key', Buffer.from('x'))
        await assertMissing(backend, 'new')
      },
    },
    {
      title: "an aborted put rejects with the signal's reason within a second and leaves no object",
      async run({ backend }) {
        for (const size of [1000, 11 * MEBIBYTE]) {
          await abortPut(backend, size)
          await assertMissing(backend, 'key')
        }
      },
    },
    {
      title: 'an aborted put destroys its body',
      async run({ backend }) {
        const body = await abortPut(backend, 1000)
        assert.ok(body.destroyed, 'the body is still open')
      },
    },
    {
      title: 'an aborted put leaves the earlier object as it was',
      async run({ backend }) {
        await backend.put('key', Buffer.from('earlier'))
        await abortPut(backend, 100_000)
        await assertContent(backend, 'key', Buffer.from('earlier'))
      },
    },
    {
      title: 'an aborted put leaves no abandoned upload',
      needs: ['abandonedUploads'],
      async run({ backend }) {
        assert.ok(supports(backend, 'abandonedUploads'))
        await abortPut(backend, 11 * MEBIBYTE)
        for await (const { key } of backend.abandonedUploads()) assert.fail(`${key} is left`)
      },
    },
    {
      title: "aborting after get fails the body with the signal's reason and closes it",
      async run({ backend }) {
        const content = bytesOf(8 * MEBIBYTE)
        await backend.put('key', content)
        const reason = new Error('stop')
        const controller = new AbortController()
        const { body } = await backend.get('key', { signal: controller.signal })
        await new Promise((resolve) => body.once('readable', resolve))
        controller.abort(reason)
        assert.equal(await rejection(readBody(body)), reason)
        assert.ok(body.destroyed, 'the body is still open')
        await assertContent(backend, 'key', content)
      },
    },
    {
      title: "aborting between two keys of a list rejects with the signal's reason",
      async run({ backend }) {
        await putAll(backend, ['a', 'b', 'c/d'])
        const reason = new Error('stop')
        const controller = new AbortController()
        const keys = backend.list('', { signal: controller.signal })[Symbol.asyncIterator]()
        assert.equal((await keys.next()).value?.key, 'a')
        controller.abort(reason)
        assert.equal(await rejection(keys.next()), reason)
        assert.deepEqual(await keysOf(backend, ''), ['a', 'b', 'c/d'])
      },
    },
    {
      title: 'a signal that is never aborted changes nothing',
      async run({ backend }) {
        const { signal } = new AbortController()
        await backend.put('key', bytesOf(1000), { signal })
        const { body } = await backend.get('key', { signal })
        assert.ok((await readBody(body)).equals(bytesOf(1000)))
        assert.deepEqual(await backend.delete(['key'], { signal }), [])
      },
    },
  ],
}

/** Starts a put of a body that gives `size` bytes and never ends, and aborts it. */
async function abortPut(
  backend: StorageBackend,
  size: number,
): Promise<ReturnType<typeof endlessStream>> {
  const reason = new Error('stop')
  const controller = new AbortController()
  const body = endlessStream(bytesOf(size))
  const given = new Promise((resolve) => body.once('data', resolve))
  // `data` would make the stream flow before the backend listens.
  body.pause()
  const put = backend.put('key', body, { signal: controller.signal })
  put.catch(() => {})
  try {
    await Promise.race([given, put])
    controller.abort(reason)
    assert.equal(await rejection(put), reason)
    return body
  } finally {
    if (!controller.signal.aborted) body.destroy()
  }
}
