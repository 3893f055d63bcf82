import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { isS3loError, S3loError } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertMissing,
  assertRejects,
  assertSameFacts,
  bytesOf,
  failingStream,
  MEBIBYTE,
  rejection,
  SPECIAL_KEYS,
  streamOf,
} from '../content.ts'

export const putSuite: ConformanceSuite = {
  name: 'put',
  cases: [
    {
      title: 'put gives the facts that head gives afterwards',
      async run({ backend }) {
        const bytes = await backend.put('bytes', bytesOf(10))
        assertSameFacts(bytes, await backend.head('bytes'))
        const stream = await backend.put('stream', streamOf(bytesOf(1000)))
        assertSameFacts(stream, await backend.head('stream'))
      },
    },
    {
      title: 'put keeps every byte of a stream, whether its length is known or not',
      async run({ backend }) {
        const content = bytesOf(11 * MEBIBYTE + 17)
        await backend.put('known', streamOf(content), { size: content.byteLength })
        await assertContent(backend, 'known', content)
        await backend.put('unknown', streamOf(content))
        await assertContent(backend, 'unknown', content)
      },
    },
    {
      title: 'put keeps a body whose digest is named, in one request or in parts',
      async run({ backend }) {
        for (const bytes of [0, 1000, 11 * MEBIBYTE + 17]) {
          const content = bytesOf(bytes)
          const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
          await backend.put('given', content, { digest })
          await assertContent(backend, 'given', content)
          await backend.put('read', streamOf(content), { digest, size: bytes })
          await assertContent(backend, 'read', content)
        }
      },
    },
    {
      title: 'put keeps the bytes that it was given or none where the digest is of others',
      async run({ backend }) {
        const digest = `sha256:${createHash('sha256').update('another').digest('hex')}`
        const error = await backend.put('key', bytesOf(10), { digest }).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error === undefined) await assertContent(backend, 'key', bytesOf(10))
        else {
          assert.ok(isS3loError(error, 'INTEGRITY'))
          await assertMissing(backend, 'key')
        }
      },
    },
    {
      title: 'put makes an empty object from an empty stream',
      async run({ backend }) {
        await backend.put('empty', streamOf(new Uint8Array()), { size: 0 })
        await assertContent(backend, 'empty', new Uint8Array())
      },
    },
    {
      title: 'put replaces an object, and other content has another etag',
      async run({ backend }) {
        const first = await backend.put('key', Buffer.from('one'))
        const second = await backend.put('key', Buffer.from('two'))
        assert.notEqual(first.etag, second.etag)
        await assertContent(backend, 'key', Buffer.from('two'))
      },
    },
    {
      title: 'every rewrite with other bytes of the same length changes the etag',
      async run({ backend }) {
        const etags = new Set<string>()
        for (let round = 0; round < 50; round += 1) {
          etags.add((await backend.put('key', Buffer.from(String(100 + round)))).etag)
        }
        assert.equal(etags.size, 50)
      },
    },
    {
      title: 'the etag stays while the content stays',
      async run({ backend }) {
        const { etag } = await backend.put('key', bytesOf(100))
        await backend.put('other', bytesOf(100))
        const { info, body } = await backend.get('key')
        body.destroy()
        assert.equal(info.etag, etag)
        assert.equal((await backend.head('key'))?.etag, etag)
      },
    },
    {
      title: 'put keeps keys with spaces, plus, percent and other scripts as they are',
      async run({ backend }) {
        for (const key of SPECIAL_KEYS) {
          const info = await backend.put(key, Buffer.from(key))
          assert.equal(info.key, key)
        }
        for (const key of SPECIAL_KEYS) {
          assert.equal((await backend.head(key))?.key, key)
          await assertContent(backend, key, Buffer.from(key))
        }
      },
    },
    {
      title: 'a body of another length than size is INTEGRITY and leaves no object',
      async run({ backend }) {
        const content = bytesOf(1000)
        for (const size of [999, 1001, 0]) {
          await assertRejects(backend.put('stream', streamOf(content), { size }), 'INTEGRITY')
          await assertMissing(backend, 'stream')
          await assertRejects(backend.put('bytes', content, { size }), 'INTEGRITY')
          await assertMissing(backend, 'bytes')
        }
      },
    },
    {
      title: 'a body of another length than size leaves the earlier object as it was',
      async run({ backend }) {
        const earlier = await backend.put('key', Buffer.from('earlier'))
        await assertRejects(backend.put('key', streamOf(bytesOf(9)), { size: 10 }), 'INTEGRITY')
        await assertContent(backend, 'key', Buffer.from('earlier'))
        assert.equal((await backend.head('key'))?.etag, earlier.etag)
      },
    },
    {
      title: 'a put whose body fails leaves no object',
      async run({ backend }) {
        for (const size of [100, 11 * MEBIBYTE]) {
          const body = failingStream(bytesOf(size), new Error('the source broke'))
          await rejection(backend.put('key', body))
          await assertMissing(backend, 'key')
        }
      },
    },
    {
      title: 'a put whose body fails leaves the earlier object as it was',
      async run({ backend }) {
        await backend.put('key', Buffer.from('earlier'))
        const body = failingStream(bytesOf(100_000), new Error('the source broke'))
        await rejection(backend.put('key', body))
        await assertContent(backend, 'key', Buffer.from('earlier'))
      },
    },
    {
      title: "a put whose body fails throws the body's own error",
      async run({ backend }) {
        const reason = new S3loError('INTEGRITY', 'the digest is another one')
        const error = await rejection(backend.put('key', failingStream(bytesOf(100), reason)))
        assert.ok(isS3loError(error, 'INTEGRITY'), String(error))
        assert.equal(error.message, reason.message)
      },
    },
    {
      title: 'a body that fails before it is read fails the put, and crashes nothing',
      async run({ backend }) {
        const body = new Readable({ read() {} })
        const put = rejection(backend.put('key', body))
        await setImmediate()
        body.destroy(new Error('the source broke'))
        await put
        await assertMissing(backend, 'key')
      },
    },
    {
      title: 'put takes a media type and both storage classes',
      async run({ backend }) {
        const mediaType = 'application/vnd.oci.image.manifest.v1+json'
        for (const storageClass of ['standard', 'tiered'] as const) {
          await backend.put(storageClass, Buffer.from('{}'), { mediaType, storageClass })
          await assertContent(backend, storageClass, Buffer.from('{}'))
        }
      },
    },
    {
      title: 'puts of different keys at the same time do not disturb each other',
      async run({ backend }) {
        const numbers = Array.from({ length: 12 }, (_, index) => index)
        await Promise.all(
          numbers.map((index) => backend.put(`new/folder/${index}`, streamOf(contentOf(index)))),
        )
        for (const index of numbers) {
          await assertContent(backend, `new/folder/${index}`, contentOf(index))
        }
      },
    },
  ],
}

function contentOf(index: number): Buffer {
  return bytesOf(100_000 + index, index + 1)
}
