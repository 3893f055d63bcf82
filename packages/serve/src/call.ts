import type { IncomingMessage } from 'node:http'
import type { Principal } from './auth/principal.ts'

/** A request that may be answered. */
export interface Call {
  readonly request: IncomingMessage
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly principal: Principal
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal
}
