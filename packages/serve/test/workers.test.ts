import { EventEmitter } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import {
  joinPrimary,
  type PrimaryMessage,
  type PrimaryProcess,
  runWorkers,
  type WorkerMessage,
  type WorkerProcess,
} from '../src/workers.ts'

/** A worker and its view of the primary, in one process. */
class Pair extends EventEmitter implements WorkerProcess {
  readonly signals: string[] = []
  hasEnded = false
  readonly primary: PrimaryProcess = Object.assign(new EventEmitter(), {
    send: (message: WorkerMessage) => this.emit('message', message),
  })

  /** As that of a child process: without `sent`, what cannot be sent is an error event. */
  send(message: PrimaryMessage, sent?: (error: Error | null) => void): void {
    if (!this.hasEnded) this.primary.emit('message', message)
    else if (sent) sent(new Error('channel closed'))
    else this.emit('error', new Error('channel closed'))
  }

  kill(signal: 'SIGTERM' | 'SIGHUP'): void {
    this.signals.push(signal)
    if (signal === 'SIGTERM') this.end()
  }

  end(): void {
    this.hasEnded = true
    this.emit('exit')
  }

  /** Does what a worker does, with figures of its own. */
  async serve(figure: number) {
    const line = await joinPrimary(this.primary)
    line.answerWith(() => [{ name: 'n', help: '', type: 'counter', lines: { n: figure } }])
    line.ready({ store: 'memory://x/', url: 'http://127.0.0.1:1' }, ['Serving'])
    return line
  }
}

function start(count: number) {
  const pairs: Pair[] = []
  const lines: string[] = []
  const stopping = new AbortController()
  let hangUp: (() => void) | undefined
  const done = runWorkers({
    count,
    key: 'the key',
    signal: stopping.signal,
    status: (line) => lines.push(line),
    fork: () => {
      const pair = new Pair()
      pairs.push(pair)
      return pair
    },
    onHangUp: (changed) => {
      hangUp = changed
      return () => {
        hangUp = undefined
      }
    },
  })
  return { pairs, lines, done, stop: () => stopping.abort(), hangUp: () => hangUp?.() }
}

describe('the workers of a server', () => {
  it('share a key, say once that they serve, and end together', async () => {
    const { pairs, lines, done, stop } = start(3)
    const joined = await Promise.all(pairs.map((pair, i) => pair.serve(i)))
    expect(joined.map(({ key }) => key)).toEqual(['the key', 'the key', 'the key'])
    expect(lines).toEqual(['Serving', '3 workers'])
    stop()
    expect(await done).toEqual({ store: 'memory://x/', url: 'http://127.0.0.1:1' })
    expect(pairs.map(({ signals }) => signals)).toEqual([['SIGTERM'], ['SIGTERM'], ['SIGTERM']])
  })

  it('are replaced when they die', async () => {
    const { pairs, done, stop } = start(2)
    await Promise.all(pairs.map((pair, i) => pair.serve(i)))
    pairs[0]?.end()
    expect(pairs).toHaveLength(3)
    stop()
    await done
  })

  it('all end when one cannot start', async () => {
    const { pairs, done } = start(2)
    pairs[0]?.end()
    await expect(done).rejects.toMatchObject({ code: 'IO' })
    expect(pairs).toHaveLength(2)
    expect(pairs[1]?.signals).toEqual(['SIGTERM'])
  })

  it('read their configuration again together', async () => {
    const { pairs, done, stop, hangUp } = start(2)
    await Promise.all(pairs.map((pair, i) => pair.serve(i)))
    hangUp()
    expect(pairs.map(({ signals }) => signals)).toEqual([['SIGHUP'], ['SIGHUP']])
    stop()
    await done
  })

  it('give the figures of all of them', async () => {
    const { pairs, done, stop } = start(3)
    const joined = await Promise.all(pairs.map((pair, i) => pair.serve(i + 1)))
    const all = await joined[1]?.measureAll()
    expect(all?.flat().map(({ lines }) => lines['n'])).toEqual([1, 2, 3])
    stop()
    await done
  })

  it('outlive one that ends while its question for figures is open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { pairs, done, stop } = start(3)
      const [asking] = await Promise.all(pairs.slice(0, 2).map((pair, i) => pair.serve(i)))
      void asking?.measureAll()
      pairs[0]?.end()
      vi.runAllTimers()
      expect(pairs).toHaveLength(4)
      stop()
      await done
    } finally {
      vi.useRealTimers()
    }
  })

  it('ask none that is about to end', async () => {
    const { pairs, done, stop } = start(2)
    const [asking] = await Promise.all(pairs.map((pair, i) => pair.serve(i + 1)))
    const [, leaving] = pairs
    if (leaving) leaving.hasEnded = true
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const all = asking?.measureAll()
    vi.runAllTimers()
    vi.useRealTimers()
    expect((await all)?.flat().map(({ lines }) => lines['n'])).toEqual([1])
    stop()
    await done
  })
})
