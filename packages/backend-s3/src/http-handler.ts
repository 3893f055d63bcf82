import type { Agent as HttpsAgent } from 'node:https'
import type { BackendOptions } from '@s3lo/core/plugin'
import type { HttpClient } from '@s3lo/core/transfer'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { httpClient } from './connections.ts'

const CONNECT_MS = 10_000

/** Connections for a client of the SDK: those of `http`, or such as are made for `env`. */
export function httpHandler(
  env: BackendOptions['env'],
  http: HttpClient = httpClient(env),
): NodeHttpHandler {
  return new NodeHttpHandler({
    connectionTimeout: CONNECT_MS,
    httpAgent: http.agentOf('http:'),
    httpsAgent: http.agentOf('https:') as HttpsAgent,
  })
}
