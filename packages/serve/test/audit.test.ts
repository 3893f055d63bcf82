import { describe, expect, it } from 'vitest'
import { createLog } from '../src/audit.ts'
import type { Exchange } from '../src/options.ts'

const PULL: Exchange = {
  method: 'GET',
  url: '/v2/app/manifests/v1?token=hidden',
  remoteAddress: '192.0.2.1',
  userAgent: 'docker/28',
  kind: 'manifest',
  repository: 'app',
  reference: 'v1',
  principal: 'alice',
  status: 200,
  bytesReceived: 0,
  bytesSent: 500,
  duration: 1.2345,
  isCut: false,
}

function logWith({ isAccessLogged = true } = {}) {
  const lines: string[] = []
  const log = createLog({ write: (line) => lines.push(line) > 0, isAccessLogged, now: () => 0 })
  return { log, lines }
}

describe('the log', () => {
  it('has a line of JSON for each request', () => {
    const { log, lines } = logWith()
    log.observe(PULL)
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      event: 'access',
      who: 'alice',
      address: '192.0.2.1',
      method: 'GET',
      path: '/v2/app/manifests/v1',
      endpoint: 'manifest',
      repository: 'app',
      reference: 'v1',
      status: 200,
      received: 0,
      sent: 500,
      ms: 1.2,
      agent: 'docker/28',
    })
  })

  it('counts the lines that could not be written', () => {
    const lines: string[] = []
    const sink = { isFull: true }
    const write = (line: string): boolean => !sink.isFull && lines.push(line) > 0
    const log = createLog({ write, isAccessLogged: true })
    log.observe(PULL)
    log.observe(PULL)
    sink.isFull = false
    log.observe(PULL)
    log.observe(PULL)
    expect(lines.map((line) => JSON.parse(line).lost)).toEqual([2, undefined])
  })

  it.each<[string, Partial<Exchange>]>([
    ['change', { method: 'PUT', status: 201 }],
    ['change', { method: 'DELETE', status: 202 }],
    ['refusal', { status: 403 }],
    ['refusal', { status: 421, kind: undefined }],
    ['refusal', { status: 429 }],
    ['failure', { status: 500 }],
    ['failure', { error: new Error('the store is gone') }],
    ['cut', { isCut: true }],
  ])('keeps a %s without an access log as well', (event, exchange) => {
    const { log, lines } = logWith({ isAccessLogged: false })
    log.observe(PULL)
    log.observe({ ...PULL, status: 401 })
    log.observe({ ...PULL, status: 404, error: new Error('there is no such manifest') })
    log.observe({ ...PULL, method: 'POST', kind: 'uploads', status: 202 })
    log.observe({ ...PULL, method: 'POST', kind: undefined, url: '/token' })
    log.observe({ ...PULL, ...exchange })
    expect(lines.map((line) => JSON.parse(line).event)).toEqual([event])
  })

  it.each([
    'a\nb',
    'a\r\n{"event":"change","who":"admin"}',
    '","who":"admin","x":"',
    '\u001B[2J\u202Eabc\u2028\u0085\0',
    '\uD800',
    'x'.repeat(100_000),
  ])('stays one short line with %.30j', (text) => {
    const { log, lines } = logWith()
    log.observe({ ...PULL, url: text, userAgent: text, repository: text, method: text })
    log.onLogIn({ address: text, name: text, outcome: 'wrong' })
    for (const line of lines) {
      expect(line.length).toBeLessThan(4_000)
      expect(line).toMatch(/^[\x20-\x7e…]*\n$/)
      expect(JSON.parse(line)).not.toMatchObject({ who: 'admin' })
    }
    expect(lines).toHaveLength(2)
  })

  it('has no query, no header and no password', () => {
    const { log, lines } = logWith()
    log.observe(PULL)
    expect(lines.join('')).not.toContain('hidden')
  })
})
