import type { Agent as HttpsAgent } from 'node:https'
import type { BackendOptions } from '@s3lo/core/plugin'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { httpClient } from './connections.ts'

const CONNECT_MS = 10_000

/** Connections as `env` wants them, for a client of the SDK. */
export function httpHandler(env: BackendOptions['env']): NodeHttpHandler {
  const http = httpClient(env)
  return new NodeHttpHandler({
    connectionTimeout: CONNECT_MS,
    httpAgent: http.agentOf('http:'),
    httpsAgent: http.agentOf('https:') as HttpsAgent,
  })
}
