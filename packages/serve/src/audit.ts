import { escapeJson } from '@s3lo/core'
import type { LogIn } from './auth/access-state.ts'
import type { Exchange } from './options.ts'

/** The longest text of a request that a line repeats (characters). */
const MAX_TEXT = 300

export interface LogOptions {
  /** Takes a whole line with its end; false where it cannot. */
  readonly write: (line: string) => boolean
  /** Also a line for each request that only reads. */
  readonly isAccessLogged: boolean
  readonly now?: () => number
}

/** Lines of JSON about what happens, one event each. */
export interface Log {
  /** A line for each change, refusal and failure; for every request where the access log is on. */
  readonly observe: (exchange: Exchange) => void
  readonly onLogIn: (logIn: LogIn) => void
  /** Something about the server itself. */
  readonly report: (event: string, facts?: Readonly<Record<string, unknown>>) => void
}

/**
 * Nothing of a request can end a line or be taken for another field, and what is not printable is
 * escaped. A line that could not be written is counted in `lost` of the next one. Headers, bodies and
 * queries are not logged, so that no secret is.
 */
export function createLog({ write, isAccessLogged, now = Date.now }: LogOptions): Log {
  let lost = 0
  const line = (event: string, facts: Readonly<Record<string, unknown>>): void => {
    const time = new Date(now()).toISOString()
    const record = { time, event, ...facts, ...(lost > 0 && { lost }) }
    const isTaken = write(`${escapeJson(JSON.stringify(record, shorten))}\n`)
    lost = isTaken ? 0 : lost + 1
  }
  return {
    observe(exchange) {
      const event = eventOf(exchange)
      if (event !== 'access' || isAccessLogged) line(event, factsOf(exchange))
    },
    onLogIn({ address, name, outcome }) {
      if (outcome !== 'right' || isAccessLogged) line('log-in', { address, name, outcome })
    },
    report: (event, facts = {}) => line(event, facts),
  }
}

/** `change` is what an audit looks for: who stored or deleted what. */
function eventOf({ method, kind, status, error, isCut }: Exchange): string {
  if (isFailure({ status, error })) return 'failure'
  // Status 401 is how clients are asked for credentials; wrong ones have a line of their own.
  if (status === 403 || status === 421 || status === 429) return 'refusal'
  const isChange = status === 201 || (method === 'DELETE' && status === 202)
  return isChange && kind !== undefined ? 'change' : isCut ? 'cut' : 'access'
}

/** A refusal is an error too, which the status says; an answer that was under way has failed with any. */
function isFailure({ status, error }: Pick<Exchange, 'status' | 'error'>): boolean {
  return status >= 500 || (error !== undefined && status < 400)
}

function factsOf(exchange: Exchange): Record<string, unknown> {
  const { error } = exchange
  return {
    who: exchange.principal,
    address: exchange.remoteAddress,
    method: exchange.method,
    path: exchange.url.split('?')[0],
    endpoint: exchange.kind,
    repository: exchange.repository,
    reference: exchange.reference,
    status: exchange.status,
    received: exchange.bytesReceived,
    sent: exchange.bytesSent,
    ms: Math.round(exchange.duration * 10) / 10,
    agent: exchange.userAgent,
    ...(exchange.isCut && { cut: true }),
    ...(isFailure(exchange) && error !== undefined && { error: messageOf(error) }),
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function shorten(_key: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > MAX_TEXT
    ? `${value.slice(0, MAX_TEXT)}…`
    : value
}
