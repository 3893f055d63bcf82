import assert from 'node:assert/strict'
import { type ByteRange, isS3loError } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import {
  assertContent,
  assertRejects,
  assertSameFacts,
  bytesOf,
  MEBIBYTE,
  readBody,
  readObject,
} from '../content.ts'

export const getSuite: ConformanceSuite = {
  name: 'get',
  cases: [
    {
      title: 'get gives every byte of an object, and the facts that head gives',
      async run({ backend }) {
        const content = bytesOf(5 * MEBIBYTE + 3)
        await backend.put('big', content)
        const { info, body } = await backend.get('big')
        assertSameFacts(info, await backend.head('big'))
        assert.ok((await readBody(body)).equals(content), 'other bytes')
      },
    },
    {
      title: 'get gives an empty body for an empty object',
      async run({ backend }) {
        await backend.put('empty', new Uint8Array())
        await assertContent(backend, 'empty', new Uint8Array())
        assert.equal((await backend.head('empty'))?.size, 0)
      },
    },
    {
      title: 'get itself throws NOT_FOUND for a key that is not there, before there is a body',
      async run({ backend }) {
        await backend.put('folder/key', Buffer.from('x'))
        await assertRejects(backend.get('missing'), 'NOT_FOUND')
        await assertRejects(backend.get('no/such/folder'), 'NOT_FOUND')
        await assertRejects(backend.get('folder'), 'NOT_FOUND')
        await assertRejects(backend.get('missing', { range: { start: 0, end: 1 } }), 'NOT_FOUND')
      },
    },
    {
      title: 'a range is half-open: it has its first byte and not its last',
      async run({ backend }) {
        const check = await rangeCheck(backend)
        await check({ start: 0, end: 1 })
        await check({ start: 0, end: 500 })
        await check({ start: 499, end: 501 })
        await check({ start: 998, end: 999 })
      },
    },
    {
      title: 'a range reaches the last byte, with or without an end',
      async run({ backend }) {
        const check = await rangeCheck(backend)
        await check({ start: 999, end: 1000 })
        await check({ start: 999 })
        await check({ start: 0 })
        await check({ start: 0, end: 1000 })
      },
    },
    {
      title: 'a range that ends past the last byte ends with it',
      async run({ backend }) {
        const check = await rangeCheck(backend)
        await check({ start: 990, end: 1001 })
        await check({ start: 0, end: 1_000_000 })
      },
    },
    {
      title: 'a range that starts at the end or past it, or is empty, gives an empty body',
      async run({ backend }) {
        const check = await rangeCheck(backend)
        await check({ start: 1000 })
        await check({ start: 1000, end: 2000 })
        await check({ start: 5000, end: 6000 })
        await check({ start: 10, end: 10 })
        await backend.put('empty', new Uint8Array())
        assert.equal((await readObject(backend, 'empty', { range: { start: 0 } })).byteLength, 0)
      },
    },
    {
      title: 'the facts beside a range are those of the whole object',
      async run({ backend }) {
        await backend.put('key', bytesOf(1000))
        const { info, body } = await backend.get('key', { range: { start: 10, end: 20 } })
        body.destroy()
        assertSameFacts(info, await backend.head('key'))
      },
    },
    {
      title: 'a body that is destroyed unread leaves the backend usable',
      async run({ backend }) {
        const content = bytesOf(MEBIBYTE)
        await backend.put('key', content)
        for (let round = 0; round < 60; round += 1) (await backend.get('key')).body.destroy()
        await assertContent(backend, 'key', content)
      },
    },
    {
      title: 'a body is of one version, even when the object is replaced while it is read',
      async run({ backend }) {
        const before = bytesOf(4 * MEBIBYTE, 1)
        await backend.put('key', before)
        const { body } = await backend.get('key')
        const chunks: Uint8Array[] = []
        const reading = (async () => {
          for await (const chunk of body as AsyncIterable<Uint8Array>) {
            if (chunks.length === 0) await backend.put('key', bytesOf(4 * MEBIBYTE, 2))
            chunks.push(chunk)
          }
        })()
        // A store may end the body with an error; it may not mix two versions.
        const failed = await reading.then(
          () => false,
          (error: unknown) => isS3loError(error) || error instanceof Error,
        )
        const actual = Buffer.concat(chunks)
        assert.ok(failed || actual.byteLength === before.byteLength, 'the body is short')
        assert.ok(before.subarray(0, actual.byteLength).equals(actual), 'the body is mixed')
      },
    },
  ],
}

type RangeCheck = (range: ByteRange) => Promise<void>

/** Puts 1000 bytes and returns a function that compares a range of them with the same slice. */
async function rangeCheck(backend: Parameters<typeof readObject>[0]): Promise<RangeCheck> {
  const content = bytesOf(1000)
  await backend.put('thousand', content)
  return async (range) => {
    const actual = await readObject(backend, 'thousand', { range })
    const expected = content.subarray(range.start, range.end)
    assert.ok(actual.equals(expected), `${JSON.stringify(range)} gives ${actual.byteLength} bytes`)
  }
}
