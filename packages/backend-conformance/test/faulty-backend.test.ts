import { isS3loError, S3loError } from '@s3lo/core'
import { dieAt, FaultyBackend, MemoryBackend, stallAt, throwAt } from '@s3lo/core/testing'
import { expect, it } from 'vitest'

const refused = new S3loError('UNAVAILABLE', 'try again later')

it('records the calls in order', async () => {
  const backend = new FaultyBackend(new MemoryBackend())
  await backend.put('a', Buffer.from('x'))
  for await (const { key } of backend.list('')) await backend.head(key)
  await backend.delete(['a', 'b'])
  expect(backend.calls.map(({ method, key, count }) => `${count} ${method} ${key}`)).toEqual([
    '1 put a',
    '2 list ',
    '3 head a',
    '4 delete a',
  ])
  expect(backend.calls[3]?.keys).toEqual(['a', 'b'])
})

it('fails one call, or one call of those that are meant', async () => {
  const backend = new FaultyBackend(new MemoryBackend(), { before: throwAt(2, refused) })
  await backend.put('a', Buffer.from('x'))
  await expect(backend.head('a')).rejects.toBe(refused)
  expect(await backend.head('a')).toMatchObject({ key: 'a' })
  backend.faults = { after: throwAt(1, refused, ({ method }) => method === 'put') }
  await backend.head('a')
  await expect(backend.put('b', Buffer.from('x'))).rejects.toBe(refused)
  expect(await backend.head('b')).toBeDefined()
})

it('dies before a call: neither it nor a later one reaches the store', async () => {
  const store = new MemoryBackend()
  const { faults, died } = dieAt(2)
  const backend = new FaultyBackend(store, faults)
  await backend.put('a', Buffer.from('x'))
  void backend.put('b', Buffer.from('x'))
  expect(await died).toMatchObject({ method: 'put', key: 'b', count: 2 })
  void backend.put('c', Buffer.from('x'))
  expect(await store.head('b')).toBeUndefined()
  expect(await store.head('c')).toBeUndefined()
})

it('dies after a call: it took effect, and no later one reaches the store', async () => {
  const store = new MemoryBackend()
  const { faults, died } = dieAt(1, 'after')
  const backend = new FaultyBackend(store, faults)
  void backend.put('a', Buffer.from('x'))
  await died
  void backend.put('b', Buffer.from('x'))
  expect(await store.head('a')).toBeDefined()
  expect(await store.head('b')).toBeUndefined()
})

it('stalls a call until its signal aborts', async () => {
  const backend = new FaultyBackend(new MemoryBackend(), { before: stallAt(1) })
  const controller = new AbortController()
  const stalled = backend.head('a', { signal: controller.signal })
  controller.abort(refused)
  await expect(stalled).rejects.toSatisfy((error) => isS3loError(error, 'UNAVAILABLE'))
  expect(await backend.head('a')).toBeUndefined()
})

it('has the optional methods of the store inside, and sees through itself when it copies', async () => {
  const backend = new FaultyBackend(new FaultyBackend(new MemoryBackend()))
  await backend.put('a', Buffer.from('x'))
  expect(await backend.copyFrom?.(backend, 'a', 'b')).toMatchObject({ key: 'b' })
  expect(backend.presignGet).toBeUndefined()
})
