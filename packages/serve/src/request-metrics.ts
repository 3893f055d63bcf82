import type { LogIn } from './auth/access-state.ts'
import type { Metrics } from './metrics.ts'
import type { Exchange } from './options.ts'

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** What is counted of requests. */
export interface RequestMetrics {
  readonly observe: (exchange: Exchange) => void
  readonly onLogIn: (logIn: LogIn) => void
}

export function createRequestMetrics(metrics: Metrics): RequestMetrics {
  const requests = metrics.counter('s3lo_http_requests_total', 'Requests that were answered.')
  const cut = metrics.counter('s3lo_http_cut_total', 'Answers that ended before their content did.')
  const received = metrics.counter('s3lo_http_received_bytes_total', 'Bytes of request bodies.')
  const sent = metrics.counter('s3lo_http_sent_bytes_total', 'Bytes of answer bodies.')
  const seconds = metrics.histogram('s3lo_http_request_seconds', 'From a request to its last byte.')
  const logIns = metrics.counter('s3lo_log_ins_total', 'Credentials that were looked at.')
  addProcess(metrics)
  return {
    observe({ method, kind = 'other', status, bytesReceived, bytesSent, duration, isCut }) {
      const known = METHODS.has(method) ? method : 'other'
      requests.add({ endpoint: kind, method: known, status: String(status) })
      received.add({ endpoint: kind }, bytesReceived)
      sent.add({ endpoint: kind }, bytesSent)
      seconds.observe(duration / 1000, { endpoint: kind, method: known })
      if (isCut) cut.add({ endpoint: kind })
    },
    onLogIn: ({ outcome }) => logIns.add({ outcome }),
  }
}

function addProcess(metrics: Metrics): void {
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () =>
    process.memoryUsage.rss(),
  )
  metrics.gauge(
    'process_cpu_seconds_total',
    'Time of processors that was used.',
    () => process.resourceUsage().userCPUTime / 1e6 + process.resourceUsage().systemCPUTime / 1e6,
    'counter',
  )
}
