import assert from 'node:assert/strict'
import { supports } from '@s3lo/core'
import type { ConformanceSuite } from '../conformance-case.ts'
import { assertRejects, bytesOf, SPECIAL_KEYS } from '../content.ts'

export const presignSuite: ConformanceSuite = {
  name: 'presignGet',
  cases: [
    {
      title: 'presignGet gives a URL at which anyone reads the bytes',
      needs: ['presignGet'],
      async run({ backend }) {
        assert.ok(supports(backend, 'presignGet'))
        await backend.put('key', bytesOf(100_000))
        const response = await fetch(await backend.presignGet('key', { expiresInSeconds: 60 }))
        assert.equal(response.status, 200)
        assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytesOf(100_000)), 'other bytes')
      },
    },
    {
      title: 'presignGet works for special keys',
      needs: ['presignGet'],
      async run({ backend }) {
        assert.ok(supports(backend, 'presignGet'))
        for (const key of SPECIAL_KEYS) {
          await backend.put(key, Buffer.from(key))
          const response = await fetch(await backend.presignGet(key, { expiresInSeconds: 60 }))
          assert.equal(await response.text(), key)
        }
      },
    },
    {
      title: 'presignGet refuses a time that is none',
      needs: ['presignGet'],
      async run({ backend }) {
        assert.ok(supports(backend, 'presignGet'))
        for (const expiresInSeconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
          await assertRejects(backend.presignGet('key', { expiresInSeconds }), 'USAGE')
        }
      },
    },
    {
      title: 'a presigned URL gives ranges',
      needs: ['presignGet'],
      async run({ backend }) {
        assert.ok(supports(backend, 'presignGet'))
        await backend.put('key', Buffer.from('0123456789'))
        const url = await backend.presignGet('key', { expiresInSeconds: 60 })
        const response = await fetch(url, { headers: { range: 'bytes=2-4' } })
        assert.equal(response.status, 206)
        assert.equal(await response.text(), '234')
      },
    },
  ],
}
