import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from '@s3lo/core/transfer'
import { vi } from 'vitest'
import { type AzureBackend, azureBackend, type AzureBackendOptions } from '../src/index.ts'
import { resolveAccount } from '../src/account.ts'

/** One request that the service got, whole. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** How one request is answered. */
export type Answer = (response: ServerResponse, request: SeenRequest) => void

export const ACCOUNT_KEY = Buffer.from('a secret key').toString('base64')

/** A loopback server that answers the n-th request with the n-th answer of a script. */
export class FakeBlobService {
  readonly url: string
  readonly requests: SeenRequest[] = []
  /** What the backend waited between attempts, in milliseconds. */
  readonly delays: number[] = []
  readonly #server: Server
  #script: Answer[] = []

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/account`
  }

  static async start(): Promise<FakeBlobService> {
    const server = createServer((request, response) => {
      void service.#answer(request, response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const service = new FakeBlobService(server)
    return service
  }

  script(...answers: readonly Answer[]): void {
    this.#script = [...answers]
    this.requests.length = 0
    this.delays.length = 0
  }

  /** A backend of this service that waits for nothing. */
  backend(options: AzureBackendOptions = {}, env: Record<string, string> = {}): AzureBackend {
    const retry: Partial<RetryPolicy> = {
      attempts: 4,
      random: () => 1,
      delay: async (ms) => {
        this.delays.push(ms)
      },
      ...options.retry,
    }
    const account = resolveAccount({
      env: { AZURE_STORAGE_ACCOUNT: 'account', AZURE_STORAGE_KEY: ACCOUNT_KEY, ...env },
      endpoint: this.url,
    })
    return azureBackend('bucket', account, { ...options, retry })
  }

  /** `METHOD /path?query` of every request. */
  get seen(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url}`)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const { method = '', url = '', headers } = request
    const seen = { method, url, headers, body: Buffer.concat(chunks) }
    this.requests.push(seen)
    const answer = this.#script.shift()
    if (answer === undefined) refuse(500, 'NotInTheScript')(response, seen)
    else answer(response, seen)
  }
}

/** An error of the service; `headers` go along. */
export function refuse(status: number, code: string, headers: Record<string, string> = {}): Answer {
  return (response, { method }) => {
    response.writeHead(status, { 'x-ms-error-code': code, ...headers })
    const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`
    response.end(method === 'HEAD' ? undefined : xml)
  }
}

/** The connection ends without an answer. */
export const reset: Answer = (response) => void response.destroy()

/** How long the client waits for a service that is silent (milliseconds). */
export const STALL_MS = DEFAULT_RETRY_POLICY.stallMs

/** Holds the time of the client: it passes when a test lets it, and what goes over the network does not wait for it. */
export function holdTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
}

/** No answer for longer than the client waits, while time is held; the connection stays. */
export const silence: Answer = () => void vi.advanceTimersByTimeAsync(STALL_MS + 1)

const FACTS = { etag: '"0x1"', 'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT' }

export function created(headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(201, { ...FACTS, date: new Date().toUTCString(), ...headers }).end()
  }
}

export function facts(headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(200, { ...FACTS, 'content-length': '1', ...headers }).end()
  }
}

export const accepted: Answer = (response) => void response.writeHead(202).end()

/** A body that is cut after `sent` bytes of what the headers promise. */
export function content(text: string, { sent = text.length, start = 0, size = 0 } = {}): Answer {
  return (response) => {
    const range = `bytes ${start}-${start + text.length - 1}/${size}`
    response.writeHead(size === 0 ? 200 : 206, {
      ...FACTS,
      'content-length': text.length,
      ...(size > 0 && { 'content-range': range }),
    })
    response.write(text.slice(0, sent), () => {
      if (sent < text.length) response.destroy()
      else response.end()
    })
  }
}

/** A page of a listing. */
export function page(names: readonly string[], next = ''): Answer {
  return (response) => {
    const blobs = names.map(
      (name) =>
        `<Blob><Name>${name}</Name><Properties><Last-Modified>Sat, 21 Nov 2026 06:00:00 GMT` +
        `</Last-Modified><Etag>0x1</Etag><Content-Length>1</Content-Length>` +
        `<BlobType>BlockBlob</BlobType></Properties></Blob>`,
    )
    response.writeHead(200, { 'content-type': 'application/xml' })
    response.end(
      `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="x" ` +
        `ContainerName="bucket"><Blobs>${blobs.join('')}</Blobs>` +
        `<NextMarker>${next}</NextMarker></EnumerationResults>`,
    )
  }
}
