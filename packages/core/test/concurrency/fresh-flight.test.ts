import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { FreshFlight } from '../../src/concurrency/fresh-flight.ts'

/** A store whose value is looked up in two steps, so that it can change between them. */
class Looked {
  value = 'first'
  looks = 0
  readonly #gates: (() => void)[] = []

  readonly look = async (): Promise<string> => {
    this.looks += 1
    const { value } = this
    await new Promise<void>((resolve) => this.#gates.push(resolve))
    return value
  }

  async answer(): Promise<void> {
    while (this.#gates.length === 0) await setImmediate()
    this.#gates.shift()?.()
  }
}

it('gives one look to all that ask at once', async () => {
  const flight = new FreshFlight<string>()
  const store = new Looked()
  const all = Array.from({ length: 64 }, () => flight.run('key', undefined, store.look))
  const other = flight.run('other', undefined, () => Promise.resolve('another key'))
  await store.answer()
  expect(new Set(await Promise.all(all))).toEqual(new Set(['first']))
  expect(await other).toBe('another key')
  expect(store.looks).toBe(1)
})

it('never gives what was looked up before the caller asked', async () => {
  const flight = new FreshFlight<string>()
  const store = new Looked()
  const early = flight.run('key', undefined, store.look)
  while (store.looks === 0) await setImmediate()
  store.value = 'second'
  const late = Array.from({ length: 8 }, () => flight.run('key', undefined, store.look))
  await store.answer()
  expect(await early).toBe('first')
  await store.answer()
  expect(await Promise.all(late)).toEqual(Array.from({ length: 8 }, () => 'second'))
  expect(store.looks).toBe(2)
})

it('looks again after a look that failed', async () => {
  const flight = new FreshFlight<string>()
  const failure = new Error('no answer')
  const failing = [1, 2].map(() => flight.run('key', undefined, () => Promise.reject(failure)))
  for (const each of failing) await expect(each).rejects.toBe(failure)
  expect(await flight.run('key', undefined, () => Promise.resolve('found'))).toBe('found')
})

it('lets a caller leave without the others, and aborts for the last one', async () => {
  const flight = new FreshFlight<string>()
  const [one, two] = [new AbortController(), new AbortController()]
  const begun = Promise.withResolvers<AbortSignal>()
  const look = (signal: AbortSignal): Promise<string> => {
    begun.resolve(signal)
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }
  const first = flight.run('key', one.signal, look)
  const second = flight.run('key', two.signal, look)
  const looking = await begun.promise
  const gone = new Error('the client is gone')
  one.abort(gone)
  await expect(first).rejects.toBe(gone)
  expect(looking.aborted).toBe(false)
  two.abort(gone)
  await expect(second).rejects.toBe(gone)
  expect(looking.aborted).toBe(true)
  expect(await flight.run('key', undefined, () => Promise.resolve('found'))).toBe('found')
})

it('begins no attempt for callers that left before', async () => {
  const flight = new FreshFlight<string>()
  const leaving = new AbortController()
  const left = flight.run('key', leaving.signal, () => Promise.reject(new Error('it began')))
  const gone = new Error('the client is gone')
  leaving.abort(gone)
  await expect(left).rejects.toBe(gone)
  await setImmediate()
  expect(await flight.run('key', undefined, () => Promise.resolve('found'))).toBe('found')
})
