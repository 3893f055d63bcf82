import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { digestOf, isDigest } from '@s3lo/core'

/** Answers a request itself, and says so, or leaves it to the registry. */
export type Script = (
  request: IncomingMessage,
  response: ServerResponse,
  body: Uint8Array,
) => boolean | void | Promise<boolean>

export interface MemoryRegistryOptions {
  /** Whether it has the referrers API. */
  readonly referrers?: boolean
  /** Whether it gives entity tags and obeys conditions. */
  readonly conditions?: boolean
  readonly minChunkBytes?: number
  /** From where it mounts blobs; `any` includes mounts that name no repository. The default. */
  readonly mounts?: 'any' | 'named' | 'refused'
  /** Whether each repository shows its own blobs only. */
  readonly isolated?: boolean
  /** Whether it takes chunks. */
  readonly chunks?: boolean
  /** What it answers to a chunk that it took, in place of 202, a location and a range. */
  readonly chunkAnswer?: { readonly status: number; readonly headers?: Record<string, string> }
}

interface Stored {
  readonly content: Uint8Array
  readonly mediaType: string
}

/** A registry on loopback that keeps everything in memory; a script may answer in its place. */
export class MemoryRegistry {
  readonly blobs = new Map<string, Uint8Array>()
  /** `repository/digest` of each blob that was sent to a repository or mounted there. */
  readonly owned = new Set<string>()
  /** By `repository/tag` and `repository/digest`. */
  readonly manifests = new Map<string, Stored>()
  readonly uploads = new Map<string, Uint8Array>()
  /** Bytes of the bodies of all requests. */
  received = 0
  /** `METHOD path` of each request. */
  readonly requests: string[] = []
  /** The `Authorization` of each request. */
  readonly authorizations: (string | undefined)[] = []
  script: Script = () => false
  /** As `script`, before the body of the request is read. */
  early: (request: IncomingMessage, response: ServerResponse) => boolean = () => false
  readonly #options: MemoryRegistryOptions
  readonly #server: Server

  private constructor(options: MemoryRegistryOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  static async start(options: MemoryRegistryOptions = {}): Promise<MemoryRegistry> {
    const registry = new MemoryRegistry(options)
    await new Promise<void>((resolve) => {
      registry.#server.listen(0, '127.0.0.1', resolve)
    })
    return registry
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => {
      this.#server.close(resolve)
    })
  }

  addManifest(repository: string, reference: string, content: Uint8Array, mediaType: string): void {
    this.manifests.set(`${repository}/${digestOf(content)}`, { content, mediaType })
    this.manifests.set(`${repository}/${reference}`, { content, mediaType })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push(`${request.method} ${request.url}`)
    this.authorizations.push(request.headers.authorization)
    if (this.early(request, response)) return
    try {
      const chunks: Uint8Array[] = []
      for await (const chunk of request) chunks.push(chunk as Uint8Array)
      const body = Buffer.concat(chunks)
      this.received += body.byteLength
      if (await this.script(request, response, body)) return
      this.#answer(request, response, body)
    } catch {
      response.destroy() // The client went away in the middle of its body.
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: Uint8Array): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://registry')
    const found = /^\/v2\/(.+?)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/(.*)$/.exec(
      pathname,
    )
    const [, repository = '', kind = '', rest = ''] = found ?? []
    const method = request.method ?? 'GET'
    if (kind === 'blobs') this.#blob(method, repository, rest, request, response)
    else if (kind === 'blobs/uploads')
      this.#upload(method, repository, rest, request, response, body)
    else if (kind === 'manifests') this.#manifest(method, repository, rest, request, response, body)
    else if (kind === 'tags') this.#tags(repository, searchParams, response)
    else if (kind === 'referrers' && this.#options.referrers) this.#list(repository, rest, response)
    else refuse(response, 404, 'UNSUPPORTED')
  }

  #blob(
    method: string,
    repository: string,
    digest: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const content = this.blobs.get(digest)
    if (!content || !this.#isIn(repository, digest)) return refuse(response, 404, 'BLOB_UNKNOWN')
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
    const start = Number(range?.[1] ?? 0)
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, content.byteLength) : content.byteLength
    const part = content.subarray(start, end)
    response.writeHead(range ? 206 : 200, {
      'content-length': part.byteLength,
      'docker-content-digest': digest,
      ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${content.byteLength}` } : {}),
    })
    response.end(method === 'HEAD' ? undefined : part)
  }

  #upload(
    method: string,
    repository: string,
    id: string,
    request: IncomingMessage,
    response: ServerResponse,
    body: Uint8Array,
  ): void {
    const { searchParams } = new URL(request.url ?? '/', 'http://registry')
    if (method === 'POST') {
      const mount = searchParams.get('mount')
      const { mounts = 'any' } = this.#options
      if (mount !== null && mounts === 'refused') return refuse(response, 400, 'UNSUPPORTED')
      const from = searchParams.get('from')
      const isThere = from === null ? mounts === 'any' : this.#isIn(from, mount ?? '')
      if (mount !== null && isThere && this.blobs.has(mount)) {
        this.owned.add(`${repository}/${mount}`)
        return void response.writeHead(201).end()
      }
      const fresh = randomUUID()
      this.uploads.set(fresh, new Uint8Array())
      return this.#accept(response, repository, fresh, 202)
    }
    const held = this.uploads.get(id)
    if (!held) return refuse(response, 404, 'BLOB_UPLOAD_UNKNOWN')
    if (method === 'DELETE') {
      this.uploads.delete(id)
      return void response.writeHead(204).end()
    }
    if (method === 'GET') return this.#accept(response, repository, id, 204)
    if (method === 'PATCH') {
      if (this.#options.chunks === false) return refuse(response, 405, 'UNSUPPORTED')
      const start = Number(/^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1])
      if (start !== held.byteLength) return refuse(response, 416, 'BLOB_UPLOAD_INVALID')
      this.uploads.set(id, Buffer.concat([held, body]))
      const { chunkAnswer } = this.#options
      if (!chunkAnswer) return this.#accept(response, repository, id, 202)
      return void response.writeHead(chunkAnswer.status, chunkAnswer.headers).end()
    }
    const digest = searchParams.get('digest') ?? ''
    const content = Buffer.concat([held, body])
    this.uploads.delete(id)
    const algorithm = digest.startsWith('sha512:') ? 'sha512' : 'sha256'
    if (digestOf(content, algorithm) !== digest) return refuse(response, 400, 'DIGEST_INVALID')
    this.blobs.set(digest, content)
    this.owned.add(`${repository}/${digest}`)
    response.writeHead(201, { 'docker-content-digest': digest }).end()
  }

  #isIn(repository: string, digest: string): boolean {
    return !this.#options.isolated || this.owned.has(`${repository}/${digest}`)
  }

  #accept(response: ServerResponse, repository: string, id: string, status: number): void {
    const size = this.uploads.get(id)?.byteLength ?? 0
    const { minChunkBytes } = this.#options
    response.writeHead(status, {
      // Every other answer is relative, as registries are.
      location: `/v2/${repository}/blobs/uploads/${id}?state=${size}`,
      range: `0-${Math.max(0, size - 1)}`,
      ...(minChunkBytes === undefined ? {} : { 'oci-chunk-min-length': minChunkBytes }),
    })
    response.end()
  }

  #manifest(
    method: string,
    repository: string,
    reference: string,
    request: IncomingMessage,
    response: ServerResponse,
    body: Uint8Array,
  ): void {
    const key = `${repository}/${reference}`
    const stored = this.manifests.get(key)
    if (method === 'PUT') {
      if (this.#options.conditions && !holds(request, stored)) {
        return refuse(response, 412, 'PRECONDITION_FAILED')
      }
      if (isDigest(reference) && digestOf(body, algorithmOf(reference)) !== reference) {
        return refuse(response, 400, 'DIGEST_INVALID')
      }
      const mediaType = request.headers['content-type'] ?? ''
      this.addManifest(repository, reference, body, mediaType)
      const { subject } = JSON.parse(Buffer.from(body).toString()) as {
        subject?: { digest: string }
      }
      const noted = this.#options.referrers && subject ? { 'oci-subject': subject.digest } : {}
      return void response
        .writeHead(201, { 'docker-content-digest': digestOf(body), ...noted })
        .end()
    }
    if (!stored) return refuse(response, 404, 'MANIFEST_UNKNOWN')
    if (method === 'DELETE') {
      this.manifests.delete(key)
      return void response.writeHead(202).end()
    }
    const digest = isDigest(reference) ? reference : digestOf(stored.content)
    response.writeHead(200, {
      'content-type': stored.mediaType,
      'content-length': stored.content.byteLength,
      'docker-content-digest': digest,
      ...(this.#options.conditions ? { etag: `"${digest}"` } : {}),
    })
    response.end(method === 'HEAD' ? undefined : stored.content)
  }

  #tags(repository: string, query: URLSearchParams, response: ServerResponse): void {
    const count = Math.min(2, Number(query.get('n') ?? 2))
    const last = query.get('last') ?? ''
    const all = [...this.manifests.keys()]
      .filter((key) => key.startsWith(`${repository}/`) && !key.includes(':'))
      .map((key) => key.slice(repository.length + 1))
      .filter((tag) => tag > last)
      .toSorted()
    const tags = all.slice(0, count)
    const next = `</v2/${repository}/tags/list?n=${count}&last=${tags.at(-1)}>; rel="next"`
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(all.length > count ? { link: next } : {}),
    })
    response.end(JSON.stringify({ name: repository, tags }))
  }

  #list(repository: string, subject: string, response: ServerResponse): void {
    const manifests = [...this.manifests]
      .filter(([key]) => key.startsWith(`${repository}/sha256:`))
      .map(([, { content, mediaType }]) => ({
        content,
        mediaType,
        text: Buffer.from(content).toString(),
      }))
      .filter(({ text }) => text.includes(`"subject":{`) && text.includes(subject))
      .map(({ content, mediaType }) => ({
        mediaType,
        digest: digestOf(content),
        size: content.byteLength,
      }))
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    response.writeHead(200, { 'content-type': mediaType })
    response.end(JSON.stringify({ schemaVersion: 2, mediaType, manifests }))
  }
}

/** Ends a request with an error of the specification. */
export function refuse(response: ServerResponse, status: number, code: string, message = ''): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ errors: [{ code, message }] }))
}

function algorithmOf(digest: string): 'sha256' | 'sha512' {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

function holds({ headers }: IncomingMessage, stored: Stored | undefined): boolean {
  if (headers['if-none-match'] === '*') return stored === undefined
  const match = headers['if-match']
  return match === undefined || (stored !== undefined && match === `"${digestOf(stored.content)}"`)
}
