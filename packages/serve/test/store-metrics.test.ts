import { MemoryBackend } from '@s3lo/core/testing'
import { supports } from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { createMetrics, formatMetrics } from '../src/metrics.ts'
import { measureStore } from '../src/store-metrics.ts'

describe('the calls of a store', () => {
  it('are counted by how they end, and do what they did', async () => {
    const backend = new MemoryBackend()
    const metrics = createMetrics()
    measureStore(backend, metrics)
    await backend.put('a', new Uint8Array(3))
    expect(await backend.head('a')).toMatchObject({ size: 3 })
    await expect(backend.get('b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await Array.fromAsync(backend.list(''))).toHaveLength(1)
    const text = formatMetrics(metrics.snapshot())
    for (const line of [
      's3lo_store_calls_total{method="put",outcome="ok"} 1',
      's3lo_store_calls_total{method="head",outcome="ok"} 1',
      's3lo_store_calls_total{method="get",outcome="refused"} 1',
      's3lo_store_calls_total{method="list",outcome="ok"} 1',
      's3lo_store_call_seconds_count{method="get"} 1',
    ]) {
      expect(text).toContain(line)
    }
  })

  it('add no capability that a backend lacks', () => {
    const backend = new MemoryBackend()
    const before = supports(backend, 'presignGet')
    measureStore(backend, createMetrics())
    expect(supports(backend, 'presignGet')).toBe(before)
  })
})
