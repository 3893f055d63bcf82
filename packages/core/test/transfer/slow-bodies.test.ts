import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { DEFAULT_RETRY_POLICY, Requests, ResumableBody } from '../../src/transfer/index.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const policy = { ...DEFAULT_RETRY_POLICY, attempts: 3, delay: () => Promise.resolve() }
const requests = new Requests(policy, (error) => ({ error, retryable: true }))

/** A body of `size` bytes of which the service gives `bytes` every `ms` milliseconds. */
async function read(size: number, bytes: number, ms: number): Promise<string> {
  let opened = 0
  let given = 0
  let source = new PassThrough()
  const open = (): PassThrough => {
    opened += 1
    source = new PassThrough()
    return source
  }
  const options = { start: 0, end: size, what: 'it', requests }
  const body = new ResumableBody(open(), {
    ...options,
    openRest: (start) => {
      given = start
      return Promise.resolve(open())
    },
  })
  const outcomes: string[] = []
  const ended = text(body).then(
    (all) => outcomes.push(`${all.length} bytes`),
    (error: unknown) => outcomes.push(String((error as { code?: unknown }).code)),
  )
  for (let i = 0; outcomes.length === 0 && i < 1000; i += 1) {
    await vi.advanceTimersByTimeAsync(ms)
    const chunk = Math.min(bytes, size - given)
    given += chunk
    if (chunk > 0 && !source.destroyed) source.write('x'.repeat(chunk))
    if (given === size && !source.destroyed) source.end()
    await new Promise(setImmediate)
  }
  body.destroy()
  await ended
  return `${outcomes[0]} by ${opened}`
}

describe('a body', () => {
  it('that comes by a byte every 3 s is given up', async () => {
    expect(await read(1_000_000, 1, 3000)).toBe('UNAVAILABLE by 3')
  })

  it('that comes slowly over an honest line is read to its end', async () => {
    expect(await read(100_000, 500, 5000)).toBe('100000 bytes by 1')
  })

  it('that is short is no slower than its time', async () => {
    expect(await read(20, 1, 2500)).toBe('20 bytes by 1')
  })
})
