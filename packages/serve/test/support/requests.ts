import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

export interface FakeRequest {
  readonly method?: string
  readonly url?: string
  readonly headers?: IncomingMessage['headers']
  readonly address?: string
  readonly isSecure?: boolean
  readonly body?: string
}

/** A request as a server of Node would hand it over. */
export function fakeRequest(request: FakeRequest = {}): IncomingMessage {
  const { method = 'GET', url = '/v2/', address = '127.0.0.1', body = '' } = request
  const headers = { host: 'registry.example', ...request.headers }
  return Object.assign(Readable.from(body === '' ? [] : [Buffer.from(body)]), {
    method,
    url,
    headers,
    rawHeaders: Object.entries(headers).flatMap(([name, values]) =>
      [values ?? []].flat().flatMap((value) => [name, value]),
    ),
    socket: { remoteAddress: address, ...(request.isSecure && { encrypted: true }) },
  }) as unknown as IncomingMessage
}

export function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}
