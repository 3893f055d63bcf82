import { describe, expect, it } from 'vitest'
import { addUpMetrics, createMetrics, formatMetrics } from '../src/metrics.ts'
import { createRequestMetrics } from '../src/request-metrics.ts'

describe('metrics', () => {
  it("are printed in Prometheus' text format", () => {
    const metrics = createMetrics()
    const requests = metrics.counter('requests_total', 'Requests.')
    requests.add({ method: 'GET' })
    requests.add({ method: 'GET' }, 2)
    requests.add({ method: 'a"\n\\' })
    metrics.histogram('seconds', 'Durations.').observe(0.2, { kind: 'blob' })
    metrics.gauge('connections', 'Open now.', () => 7)
    expect(formatMetrics(metrics.snapshot())).toBe(
      [
        '# HELP requests_total Requests.',
        '# TYPE requests_total counter',
        'requests_total{method="GET"} 3',
        String.raw`requests_total{method="a\"\n\\"} 1`,
        '# HELP seconds Durations.',
        '# TYPE seconds histogram',
        'seconds_bucket{kind="blob",le="0.005"} 0',
        'seconds_bucket{kind="blob",le="0.025"} 0',
        'seconds_bucket{kind="blob",le="0.1"} 0',
        'seconds_bucket{kind="blob",le="0.5"} 1',
        'seconds_bucket{kind="blob",le="1"} 1',
        'seconds_bucket{kind="blob",le="5"} 1',
        'seconds_bucket{kind="blob",le="30"} 1',
        'seconds_bucket{kind="blob",le="120"} 1',
        'seconds_bucket{kind="blob",le="600"} 1',
        'seconds_bucket{kind="blob",le="+Inf"} 1',
        'seconds_sum{kind="blob"} 0.2',
        'seconds_count{kind="blob"} 1',
        '# HELP connections Open now.',
        '# TYPE connections gauge',
        'connections 7',
        '',
      ].join('\n'),
    )
  })

  it('of several workers add up', () => {
    const [one, other] = [createMetrics(), createMetrics()]
    for (const metrics of [one, other]) metrics.counter('n_total', 'N.').add({ a: '1' })
    other.gauge('g', 'G.', () => 2)
    const sum = addUpMetrics([one.snapshot(), other.snapshot()])
    expect(sum.map(({ lines }) => lines)).toEqual([{ 'n_total{a="1"}': 2 }, { g: 2 }])
  })

  it('of requests have a bounded number of lines', () => {
    const metrics = createMetrics()
    const { observe, onLogIn } = createRequestMetrics(metrics)
    for (let i = 0; i < 1_000; i++) {
      onLogIn({ address: `${i}`, name: `user ${i}`, outcome: 'wrong' })
      observe({
        method: `M${i}`,
        url: `/${i}`,
        remoteAddress: `${i}`,
        userAgent: `${i}`,
        kind: undefined,
        repository: `r${i}`,
        reference: `${i}`,
        principal: `${i}`,
        status: 404,
        bytesReceived: 1,
        bytesSent: 2,
        duration: i,
        isCut: true,
      })
    }
    const text = formatMetrics(metrics.snapshot())
    expect(text.split('\n').length).toBeLessThan(50)
    expect(text).toContain(
      's3lo_http_requests_total{endpoint="other",method="other",status="404"} 1000',
    )
    expect(text).toContain('s3lo_http_sent_bytes_total{endpoint="other"} 2000')
    expect(text).toContain('s3lo_log_ins_total{outcome="wrong"} 1000')
  })
})
