import { FaultProxy } from '@s3lo/core/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { GcsBackend } from '../src/index.ts'
import { ACCOUNTS, backendOn, bytesIn, failureOf } from './double-backend.ts'
import { GcsDouble } from './gcs-double.ts'

const content = Buffer.from('{"schemaVersion":2}')

let double: GcsDouble
let proxy: FaultProxy
let backend: GcsBackend
beforeAll(async () => {
  double = await GcsDouble.start({ accounts: ACCOUNTS, tokens: new Map([['good', 'write']]) })
  double.makeBucket('bucket')
  proxy = await FaultProxy.start(double.url)
  backend = backendOn(proxy, 'bucket')
  await backend.put('key', content)
})
afterAll(async () => {
  await proxy.close()
  await double.close()
})
afterEach(() => proxy.spoil())

describe('a small object that is read whole', () => {
  it('is asked for again when a bit of it is another one', async () => {
    proxy.spoil(1, 'bit-flip')
    expect(await bytesIn(backend, 'key')).toEqual(content)
    expect(proxy.count).toBe(2)
  })

  it('is INTEGRITY when a bit of it is always another one', async () => {
    proxy.spoilFrom(1, 'bit-flip')
    const error = await failureOf(backend.get('key'))
    expect(error).toMatchObject({ code: 'INTEGRITY' })
  })

  it('of the largest size that a manifest has is checked, and of no larger one', async () => {
    const largest = Buffer.alloc(4 * 1024 * 1024, 'x')
    const larger = Buffer.concat([largest, Buffer.from('x')])
    await backend.put('largest', largest)
    await backend.put('larger', larger)
    proxy.spoil(1, 'bit-flip')
    expect((await bytesIn(backend, 'largest')).equals(largest)).toBe(true)
    proxy.spoil(1, 'bit-flip')
    expect((await bytesIn(backend, 'larger')).equals(larger)).toBe(false)
  })

  it('is given as it comes where the service knows no MD5 of it', async () => {
    const composed = await GcsDouble.start({ isComposed: true })
    composed.makeBucket('bucket')
    const before = await FaultProxy.start(composed.url)
    try {
      const through = backendOn(before, 'bucket')
      await through.put('key', content)
      expect(await bytesIn(through, 'key')).toEqual(content)
      before.spoil(1, 'bit-flip')
      expect(await bytesIn(through, 'key')).not.toEqual(content)
    } finally {
      await before.close()
      await composed.close()
    }
  })
})

it('a range of an object is not held against the MD5 of the whole', async () => {
  await backend.put('ranged', content)
  const { body } = await backend.get('ranged', { range: { start: 0, end: 5 } })
  expect(Buffer.concat(await body.toArray())).toEqual(content.subarray(0, 5))
})
