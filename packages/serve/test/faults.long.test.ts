import { ImageStore } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { FaultyBackend, MemoryBackend, type StorageCall } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { image, pull, push } from './support/push-image.ts'
import { serveBackend } from './support/served-store.ts'

describe('when the store fails', () => {
  const kinds: Readonly<Record<string, (call: StorageCall) => void>> = {
    'before it did': () => {
      throw new S3loError('UNAVAILABLE', 'the store is away')
    },
    'after it did': () => {
      throw new S3loError('UNAVAILABLE', 'the answer was lost')
    },
  }

  it.each(Object.keys(kinds))(
    'at any request, %s what was asked, a push and a pull end well or say so, and work when they are tried again',
    async (kind) => {
      const when = kind.startsWith('before') ? 'before' : 'after'
      for (let at = 1; ; at++) {
        const memory = new MemoryBackend()
        const faulty = new FaultyBackend(memory)
        faulty.faults = {
          [when]: (call: StorageCall) => {
            if (call.count === at) kinds[kind]?.(call)
          },
        }
        await using served = await serveBackend(faulty)
        const outcomes = [await push(served, image), await pull(served).catch(() => 'cut')]
        for (const outcome of outcomes) expect([200, 201, 404, 503, 'cut']).toContain(outcome)
        const isOver = faulty.calls.length < at
        faulty.faults = {}
        expect([await push(served, image), await pull(served)]).toEqual([201, 200])
        const read = await new ImageStore(memory).read({ name: 'app', tag: 'v1' })
        expect(read.descriptor.digest).toBe(image.root.descriptor.digest)
        if (isOver) return
      }
    },
  )
})
