import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { verified, verifyDigest } from '../../src/stream/verify-digest.ts'

const content = Buffer.from('content')
const descriptor = { digest: digestOf(content), size: content.length }
const other = { digest: digestOf(Buffer.from('another')), size: content.length }

describe('verified', () => {
  it('leaves a stream that is verified against the same descriptor as it is', async () => {
    const stream = Readable.from([content]).pipe(verifyDigest(descriptor))
    expect(verified(stream, descriptor)).toBe(stream)
    expect(await buffer(stream)).toEqual(content)
  })

  it('verifies a stream that is verified against another descriptor', async () => {
    const stream = verified(Readable.from([content]).pipe(verifyDigest(descriptor)), other)
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('verifies a stream that nothing has verified', async () => {
    const stream = verified(Readable.from([content]).pipe(new PassThrough()), other)
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('goes by the digest alone where no size is known', async () => {
    const { digest } = descriptor
    expect(await buffer(verified(Readable.from([content]), { digest }))).toEqual(content)
    const wrong = verified(Readable.from([content]), { digest: other.digest })
    await expect(buffer(wrong)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
