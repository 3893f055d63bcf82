import type { Descriptor, ProgressEvent } from '@s3lo/core'
import { describe, expect, it } from 'vitest'
import { ProgressState } from '../src/progress-state.ts'

function blob(letter: string, size: number): Descriptor {
  return { mediaType: 'layer', digest: `sha256:${letter.repeat(64)}`, size }
}

function start(descriptor: Descriptor, platform = 'single'): ProgressEvent {
  return { type: 'blob', phase: 'start', descriptor, platform }
}

function ended(descriptor: Descriptor, phase: 'done' | 'skip' | 'mount' = 'done'): ProgressEvent {
  return { type: 'blob', phase, descriptor, platform: 'single' }
}

function bytes(descriptor: Descriptor, delta: number): ProgressEvent {
  return { type: 'bytes', descriptor, delta }
}

describe('the state of a transfer', () => {
  it('counts what moved and what was there already', () => {
    const state = new ProgressState(() => 0)
    const [a, b, c] = [blob('a', 100), blob('b', 50), blob('c', 10)]
    state.apply({ type: 'plan', blobs: 3, bytes: 160 })
    state.apply(ended(a, 'skip'))
    state.apply(start(b))
    state.apply(bytes(b, 20))
    expect([state.done, state.total, state.blobs, state.inFlight.length]).toEqual([120, 160, 1, 1])
    state.apply(ended(b))
    state.apply(start(c))
    state.apply(ended(c, 'mount'))
    expect([state.done, state.blobs, state.inFlight.length]).toEqual([160, 3, 0])
  })

  it('does not count bytes that are sent again beyond the size of the blob', () => {
    const state = new ProgressState(() => 0)
    const a = blob('a', 100)
    state.apply({ type: 'plan', blobs: 1, bytes: 100 })
    state.apply(start(a))
    state.apply(bytes(a, 80))
    state.apply(bytes(a, 80))
    expect(state.done).toBe(100)
  })

  it('knows no total without a plan, and follows a blob whose digest comes at its end', () => {
    const state = new ProgressState(() => 0)
    const pending = { mediaType: 'layer', digest: '', size: 100 }
    state.apply(bytes(pending, 60))
    expect([state.done, state.total, state.secondsLeft]).toEqual([60, undefined, undefined])
    state.apply(ended(blob('a', 100)))
    expect([state.done, state.inFlight.length]).toEqual([100, 0])
  })

  it('begins from zero with the plan of another leg', () => {
    const state = new ProgressState(() => 0)
    state.apply(ended(blob('a', 100)))
    state.apply({ type: 'plan', blobs: 1, bytes: 100 })
    expect(state.done).toBe(0)
  })

  it('measures the rate over the last seconds and tells the time left', () => {
    let now = 0
    const state = new ProgressState(() => now)
    const a = blob('a', 10_000)
    state.apply({ type: 'plan', blobs: 1, bytes: 10_000 })
    state.apply(start(a))
    for (now = 1000; now <= 20_000; now += 1000) state.apply(bytes(a, now <= 10_000 ? 0 : 500))
    now = 20_000
    expect(state.rate).toBeCloseTo(500, 0)
    expect(state.secondsLeft).toBeCloseTo(10, 0)
  })
})
