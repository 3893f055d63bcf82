import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { type Attempt, DEFAULT_RETRY_POLICY, Requests } from '../../src/transfer/index.ts'

const policy = { ...DEFAULT_RETRY_POLICY, attempts: 1, stallMs: 1000 }
const requests = new Requests(policy, (error) => ({ error, retryable: false }))

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** How an attempt ends in which `before` runs, and then nothing for `ms`. */
async function silentFor(ms: number, before: (attempt: Attempt) => void): Promise<string> {
  const sent = requests.send({ what: 'it' }, (attempt) => {
    before(attempt)
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    attempt.signal.addEventListener('abort', () => reject(new Error('aborted')))
    setTimeout(() => resolve('an answer'), ms)
    return promise
  })
  const end = sent.catch((error: unknown) => (isS3loError(error) ? error.message : String(error)))
  await vi.advanceTimersByTimeAsync(ms)
  return end
}

it('gives up an attempt that is silent', async () => {
  expect(await silentFor(1500, () => {})).toContain('silent for 1 s')
})

it('waits longer for an attempt that expects silence, and says how long it was', async () => {
  expect(await silentFor(4500, ({ expectSilence }) => expectSilence(5000))).toBe('an answer')
  expect(await silentFor(5500, ({ expectSilence }) => expectSilence(5000))).toContain('for 5 s')
})

it('waits without a limit for what has limits of its own', async () => {
  expect(await silentFor(1e7, ({ expectSilence }) => expectSilence(Infinity))).toBe('an answer')
})

it('takes progress for the end of the silence that was expected', async () => {
  for (const ms of [5000, Infinity]) {
    const end = await silentFor(1500, ({ expectSilence, progress }) => {
      expectSilence(ms)
      progress()
    })
    expect(end).toContain('for 1 s')
  }
})

it('has no timer left after an attempt that still reports progress', async () => {
  let late: Attempt | undefined
  await silentFor(10, (attempt) => (late = attempt))
  late?.progress()
  late?.expectSilence(5000)
  expect(vi.getTimerCount()).toBe(0)
})
