/**
 * A registry in memory that does all that the suite asks for. The mutants are this file with one line
 * changed, so it imports Node's modules only, and each of its lines says one thing.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export interface MemoryRegistryOptions {
  /** What it asks for; nothing unless said. */
  readonly auth?: 'basic' | 'bearer'
  /** Whether it takes manifests whose parts are missing. */
  readonly sparse?: boolean
  /** Whether blobs are read from a store that knows no digests, to which clients are sent. */
  readonly redirects?: boolean
}

interface Manifest {
  readonly bytes: Buffer
  readonly mediaType: string
}

interface Repository {
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, Manifest>
  readonly tags: Map<string, string>
}

interface Upload {
  readonly repository: string
  bytes: Buffer
}

interface Call {
  readonly method: string
  readonly repository: string
  readonly rest: string
  readonly query: URLSearchParams
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

interface Descriptor {
  readonly mediaType?: string
  readonly digest?: string
  readonly size?: number
  readonly urls?: readonly string[]
}

interface Fields {
  readonly schemaVersion?: number
  readonly mediaType?: string
  readonly artifactType?: string
  readonly annotations?: Record<string, string>
  readonly subject?: Descriptor
  readonly config?: Descriptor
  readonly layers?: readonly Descriptor[]
  readonly manifests?: readonly Descriptor[]
}

/** Ends a call with an error of the specification. */
class Refusal extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string) {
    super(code)
    this.status = status
    this.code = code
  }
}

export const USER = { username: 'alice', password: 's3cret:with colon' }

const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const MAX_NAME = 255
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/
const INDEX = 'application/vnd.oci.image.index.v1+json'
const INDEXES = new Set([INDEX, 'application/vnd.docker.distribution.manifest.list.v2+json'])
const MANIFESTS = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
])
const FOREIGN = /nondistributable|foreign/
const MAX_MANIFEST = 8 * 1024 * 1024
const TAG_PAGE = 50
const REFERRER_PAGE = 15
const KEY = randomUUID()

export async function startRegistry(options: MemoryRegistryOptions = {}): Promise<MemoryRegistry> {
  const registry = new MemoryRegistry(options)
  await registry.start()
  return registry
}

export class MemoryRegistry {
  readonly #options: MemoryRegistryOptions
  readonly #server: Server
  readonly #repositories = new Map<string, Repository>()
  readonly #uploads = new Map<string, Upload>()
  /** The digest of each upload that ended. */
  readonly #finished = new Map<string, string>()

  constructor(options: MemoryRegistryOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve)
    })
  }

  get url(): string {
    const { port } = this.#server.address() as { port: number }
    return `http://127.0.0.1:${port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => {
      this.#server.close(resolve)
    })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response)
    } catch (error) {
      if (!(error instanceof Refusal)) return void response.destroy()
      request.resume()
      if (response.headersSent) return void response.destroy()
      const body = JSON.stringify({ errors: [{ code: error.code, message: error.message }] })
      response.writeHead(error.status, { 'content-type': 'application/json' })
      response.end(body)
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request
    const [path = '', search = ''] = url.split(/\?(.*)/s)
    const query = new URLSearchParams(search)
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    if (path === '/token') return this.#token(request, response, query)
    const [, owner, stored = ''] = /^\/store\/(.*)\/(.*?)$/.exec(path) ?? []
    const bytes = owner === undefined ? undefined : this.#repository(owner).blobs.get(stored)
    if (bytes !== undefined) return sendBlob(request, response, bytes)
    const [, repository = '', kind = '', rest = ''] =
      /^\/v2\/(.*?)\/(blobs\/uploads|blobs|manifests|tags|referrers)\/(.*)$/s.exec(path) ?? []
    this.#authorize(request, response, repository)
    if (path === '/v2/') return void response.writeHead(200).end()
    if (path === '/v2/_catalog') return this.#catalog(response, query)
    if (kind === '') throw new Refusal(404, 'NAME_INVALID')
    if (!NAME.test(repository) || repository.length > MAX_NAME)
      throw new Refusal(400, 'NAME_INVALID')
    const call = { method, repository, rest, query, request, response }
    if (kind === 'blobs') return this.#blob(call)
    if (kind === 'blobs/uploads') return this.#upload(call)
    if (kind === 'manifests') return this.#manifest(call)
    if (method !== 'GET') throw new Refusal(405, 'UNSUPPORTED')
    return kind === 'tags' ? this.#tags(call) : this.#referrers(call)
  }

  #repository(name: string): Repository {
    const made = { blobs: new Map(), manifests: new Map(), tags: new Map() }
    const repository = this.#repositories.get(name) ?? made
    this.#repositories.set(name, repository)
    return repository
  }

  // Who may what.

  #authorize(request: IncomingMessage, response: ServerResponse, repository: string): void {
    const { auth } = this.#options
    if (auth === undefined) return
    const header = request.headers.authorization ?? ''
    const action = actionOf(request.method)
    if (auth === 'basic') {
      if (isUser(header)) return
      response.setHeader('www-authenticate', 'Basic realm="memory"')
      throw new Refusal(401, 'UNAUTHORIZED')
    }
    const scope = repository === '' ? '' : `repository:${repository}:${action}`
    const [, scopes = ''] = /^Bearer (.*)$/.exec(header) ?? []
    const granted = readToken(scopes)
    if (granted?.includes(scope) || (granted && scope === '')) return
    const asked = scope === '' ? '' : `,scope="${scope}"`
    const realm = `Bearer realm="${this.url}/token",service="memory"${asked}`
    response.setHeader('www-authenticate', realm)
    throw new Refusal(401, 'UNAUTHORIZED')
  }

  #token(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void {
    if (!isUser(request.headers.authorization ?? '')) throw new Refusal(401, 'UNAUTHORIZED')
    const scopes = query.getAll('scope').flatMap((scope) => {
      const [, name = '', actions = ''] = /^(repository:.*):(.*?)$/.exec(scope) ?? []
      return actions.split(',').map((action) => `${name}:${action}`)
    })
    sendJson(response, { token: signToken(scopes) })
  }

  // Blobs.

  #blob({ method, repository, rest: digest, request, response }: Call): void {
    const { blobs } = this.#repository(repository)
    if (!DIGEST.test(digest)) throw new Refusal(400, 'DIGEST_INVALID')
    const bytes = blobs.get(digest)
    if (bytes === undefined) throw new Refusal(404, 'BLOB_UNKNOWN')
    if (method === 'DELETE') {
      blobs.delete(digest)
      return void response.writeHead(202).end()
    }
    if (method !== 'GET' && method !== 'HEAD') throw new Refusal(405, 'UNSUPPORTED')
    response.setHeader('docker-content-digest', digest)
    response.setHeader('content-type', 'application/octet-stream')
    if (this.#options.redirects !== true || method === 'HEAD') {
      return sendBlob(request, response, bytes)
    }
    response.setHeader('location', `/store/${repository}/${digest}`)
    response.writeHead(307).end()
  }

  // Uploads.

  async #upload(call: Call): Promise<void> {
    const { method, rest: id, query, response } = call
    if (method === 'POST' && id === '') return this.#begin(call)
    const isDone = method === 'PUT' && this.#finished.get(id) === query.get('digest')
    if (isDone) return this.#created(call, query.get('digest') ?? '')
    const upload = this.#uploads.get(id)
    if (upload === undefined) throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN')
    if (upload.repository !== call.repository) throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN')
    if (method === 'GET') return this.#progress(call, id, upload, 204)
    if (method === 'DELETE') {
      this.#uploads.delete(id)
      return void response.writeHead(204).end()
    }
    if (method === 'PATCH') {
      await this.#append(call, upload)
      return this.#progress(call, id, upload, 202)
    }
    if (method !== 'PUT') throw new Refusal(405, 'UNSUPPORTED')
    const digest = query.get('digest') ?? ''
    if (!DIGEST.test(digest)) throw new Refusal(400, 'DIGEST_INVALID')
    await this.#append(call, upload)
    this.#uploads.delete(id)
    this.#store(call.repository, digest, upload.bytes)
    this.#finished.set(id, digest)
    this.#created(call, digest)
  }

  async #begin(call: Call): Promise<void> {
    const { query, repository, request } = call
    const mount = query.get('mount')
    if (mount !== null && this.#mounted(mount, query.get('from'), repository)) {
      return this.#created(call, mount)
    }
    const digest = query.get('digest')
    if (digest !== null) {
      if (!DIGEST.test(digest)) throw new Refusal(400, 'DIGEST_INVALID')
      this.#store(repository, digest, await bodyOf(request))
      return this.#created(call, digest)
    }
    const id = randomUUID()
    const upload = { repository, bytes: Buffer.alloc(0) }
    this.#uploads.set(id, upload)
    this.#progress(call, id, upload, 202)
  }

  #mounted(digest: string, from: string | null, repository: string): boolean {
    const sources = from === null ? [...this.#repositories.values()] : [this.#repository(from)]
    const bytes = sources.map(({ blobs }) => blobs.get(digest)).find((found) => found !== undefined)
    if (bytes === undefined) return false
    this.#repository(repository).blobs.set(digest, bytes)
    return true
  }

  /** Takes a body whole or not at all, at the place where it belongs. */
  async #append({ request, response, method }: Call, upload: Upload): Promise<void> {
    const header = request.headers['content-range']
    const offset = upload.bytes.byteLength
    const [, first, last] = /^(\d+)-(\d+)$/.exec(header ?? `${offset}-0`) ?? []
    if (first === undefined || last === undefined) throw new Refusal(400, 'BLOB_UPLOAD_INVALID')
    const body = await bodyOf(request)
    const isMisplaced = upload.bytes.byteLength !== offset || Number(first) !== offset
    if (isMisplaced && (method === 'PATCH' || header !== undefined)) {
      response.setHeader('range', rangeText(upload.bytes.byteLength))
      throw new Refusal(416, 'BLOB_UPLOAD_INVALID')
    }
    const isLong = header !== undefined && Number(last) - Number(first) + 1 !== body.byteLength
    if (isLong) throw new Refusal(400, 'SIZE_INVALID')
    upload.bytes = Buffer.concat([upload.bytes, body])
  }

  #progress({ repository, response }: Call, id: string, { bytes }: Upload, status: number): void {
    const state = Buffer.from(`${bytes.byteLength}+/&`).toString('base64')
    const query = `state=${encodeURIComponent(state)}&a=1`
    response.setHeader('location', `/v2/${repository}/blobs/uploads/${id}?${query}`)
    response.setHeader('range', rangeText(bytes.byteLength))
    response.writeHead(status).end()
  }

  #store(repository: string, digest: string, bytes: Buffer): void {
    if (digestOf(bytes, digest) !== digest) throw new Refusal(400, 'DIGEST_INVALID')
    this.#repository(repository).blobs.set(digest, bytes)
  }

  #created({ repository, response }: Call, digest: string): void {
    response.setHeader('location', `/v2/${repository}/blobs/${digest}`)
    response.setHeader('docker-content-digest', digest)
    response.writeHead(201).end()
  }

  // Manifests.

  async #manifest(call: Call): Promise<void> {
    const { method, repository, rest: reference, request, response } = call
    const { manifests, tags } = this.#repository(repository)
    const isDigest = DIGEST.test(reference)
    if (!isDigest && reference.includes(':')) throw new Refusal(400, 'DIGEST_INVALID')
    if (!isDigest && !TAG.test(reference)) throw new Refusal(400, 'TAG_INVALID')
    if (method === 'PUT') return this.#putManifest(call)
    const digest = isDigest ? reference : (tags.get(reference) ?? '')
    const manifest = manifests.get(digest)
    if (manifest === undefined) throw new Refusal(404, 'MANIFEST_UNKNOWN')
    if (method === 'DELETE') {
      if (!isDigest) tags.delete(reference)
      else this.#deleteManifest(repository, digest)
      return void response.writeHead(202).end()
    }
    if (method !== 'GET' && method !== 'HEAD') throw new Refusal(405, 'UNSUPPORTED')
    const etag = `"${digest}"`
    response.setHeader('etag', etag)
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end()
    response.setHeader('docker-content-digest', digest)
    response.setHeader('content-type', manifest.mediaType)
    sendBytes(method, response, 200, manifest.bytes)
  }

  #deleteManifest(repository: string, digest: string): void {
    const { manifests, tags } = this.#repository(repository)
    manifests.delete(digest)
    for (const [tag, tagged] of tags) if (tagged === digest) tags.delete(tag)
  }

  async #putManifest(call: Call): Promise<void> {
    const { repository, rest: reference, query, request, response } = call
    const { manifests, tags } = this.#repository(repository)
    const bytes = await bodyOf(request, MAX_MANIFEST)
    const mediaType = (request.headers['content-type'] ?? '').replace(/\s*;.*$/, '')
    const digest = DIGEST.test(reference) ? reference : digestOf(bytes, 'sha256:')
    if (digestOf(bytes, digest) !== digest) throw new Refusal(400, 'DIGEST_INVALID')
    const { subject } = this.#validated(repository, bytes, mediaType)
    const current = tags.get(reference)
    const { 'if-match': match, 'if-none-match': noneMatch } = request.headers
    if (match !== undefined && match !== `"${current}"`) throw new Refusal(412, 'DENIED')
    if (noneMatch === '*' && current !== undefined) throw new Refusal(412, 'DENIED')
    const named = query.getAll('tag')
    if (named.some((tag) => !TAG.test(tag))) throw new Refusal(400, 'TAG_INVALID')
    manifests.set(digest, { bytes, mediaType })
    if (reference !== digest) tags.set(reference, digest)
    for (const tag of named) tags.set(tag, digest)
    if (named.length > 0) response.setHeader('oci-tag', named)
    if (subject?.digest !== undefined) response.setHeader('oci-subject', subject.digest)
    response.setHeader('location', `/v2/${repository}/manifests/${digest}`)
    response.setHeader('docker-content-digest', digest)
    response.writeHead(201).end()
  }

  #validated(repository: string, bytes: Buffer, mediaType: string): Fields {
    const { blobs, manifests } = this.#repository(repository)
    const fields = fieldsOf(bytes)
    if (fields.mediaType !== undefined && fields.mediaType !== mediaType) throw invalid()
    if (fields.schemaVersion !== 2) throw invalid()
    const isIndex = INDEXES.has(mediaType)
    if (!isIndex && !MANIFESTS.has(mediaType)) throw invalid()
    const parts = isIndex ? fields.manifests : fields.layers
    if (!Array.isArray(parts)) throw invalid()
    const all = isIndex ? parts : [fields.config, ...parts]
    for (const part of [...all, ...(fields.subject ? [fields.subject] : [])]) {
      if (typeof part?.digest !== 'string' || !DIGEST.test(part.digest)) throw invalid()
    }
    const held: ReadonlyMap<string, unknown> = isIndex ? manifests : blobs
    const own = all.filter((part) => !FOREIGN.test(part?.mediaType ?? ''))
    const isLacking = own.some((part) => !held.has(part?.digest ?? ''))
    if (isLacking && this.#options.sparse !== true) throw new Refusal(404, 'MANIFEST_BLOB_UNKNOWN')
    return fields
  }

  // Lists.

  #tags({ repository, rest, query, response }: Call): void {
    if (rest !== 'list') throw new Refusal(404, 'NAME_INVALID')
    const n = pageSize(query)
    const last = query.get('last') ?? ''
    const all = [...this.#repository(repository).tags.keys()].toSorted()
    const after = all.filter((tag) => tag > last)
    const tags = after.slice(0, Math.min(n, TAG_PAGE))
    if (n > 0 && after.length > tags.length) {
      const next = `/v2/${repository}/tags/list?n=${n}&last=${tags.at(-1)}`
      response.setHeader('link', `<${next}>; rel="next"`)
    }
    sendJson(response, { name: repository, tags })
  }

  #referrers({ repository, rest: subject, query, response }: Call): void {
    if (!DIGEST.test(subject)) throw new Refusal(400, 'DIGEST_INVALID')
    const type = query.get('artifactType')
    const after = query.get('after') ?? ''
    const all = [...this.#repository(repository).manifests]
      .filter(([, { bytes }]) => fieldsOf(bytes).subject?.digest === subject)
      .map(([digest, manifest]) => describeReferrer(digest, manifest))
      .filter(({ artifactType }) => type === null || artifactType === type)
      .filter(({ digest }) => digest > after)
      .toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
    const manifests = all.slice(0, REFERRER_PAGE)
    if (all.length > manifests.length) {
      const filter = type === null ? '' : `&artifactType=${encodeURIComponent(type)}`
      const next = `/v2/${repository}/referrers/${subject}?after=${manifests.at(-1)?.digest}${filter}`
      response.setHeader('link', `<${next}>; rel="next"`)
    }
    if (type !== null) response.setHeader('oci-filters-applied', 'artifactType')
    sendJson(response, { schemaVersion: 2, mediaType: INDEX, manifests }, INDEX)
  }

  #catalog(response: ServerResponse, query: URLSearchParams): void {
    const n = pageSize(query)
    const last = query.get('last') ?? ''
    const all = [...this.#repositories]
      .filter(([name, { tags }]) => tags.size > 0 && name > last)
      .map(([name]) => name)
      .toSorted()
    const repositories = all.slice(0, n)
    if (all.length > repositories.length) {
      response.setHeader('link', `</v2/_catalog?n=${n}&last=${repositories.at(-1)}>; rel="next"`)
    }
    sendJson(response, { repositories })
  }
}

function invalid(): Refusal {
  return new Refusal(400, 'MANIFEST_INVALID')
}

/** The bytes' digest by the algorithm that `like` begins with. */
function digestOf(bytes: Buffer, like: string): string {
  const algorithm = like.startsWith('sha512:') ? 'sha512' : 'sha256'
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

async function bodyOf(request: IncomingMessage, most = Infinity): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size <= most) chunks.push(chunk)
  }
  if (size > most) throw new Refusal(413, 'SIZE_INVALID')
  return Buffer.concat(chunks)
}

function fieldsOf(bytes: Buffer): Fields {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Said below.
  }
  throw invalid()
}

function describeReferrer(
  digest: string,
  { bytes, mediaType }: Manifest,
): { readonly digest: string; readonly artifactType: string | undefined } & Descriptor {
  const { artifactType, annotations, config } = fieldsOf(bytes)
  const type = artifactType ?? config?.mediaType
  const size = bytes.byteLength
  return { mediaType, digest, size, artifactType: type, ...(annotations && { annotations }) }
}

type Range = { readonly first: number; readonly last: number } | 'outside' | undefined

function rangeOf(header: string | undefined, size: number): Range {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (from === '' && to === '') return undefined
  if (from === '') return { first: Math.max(0, size - Number(to)), last: size - 1 }
  if (Number(from) >= size) return 'outside'
  if (to === '') return { first: Number(from), last: size - 1 }
  if (Number(to) < Number(from)) return 'outside'
  return { first: Number(from), last: Math.min(Number(to), size - 1) }
}

function rangeText(size: number): string {
  return `0-${Math.max(0, size - 1)}`
}

function pageSize(query: URLSearchParams): number {
  const n = query.get('n')
  if (n === null) return TAG_PAGE
  if (!/^\d{1,9}$/.test(n)) throw new Refusal(400, 'UNSUPPORTED')
  return Number(n)
}

/** A blob, or the range of it that is asked for. */
function sendBlob(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const { method = 'GET' } = request
  const range = method === 'GET' ? rangeOf(request.headers.range, bytes.byteLength) : undefined
  if (range === undefined) return sendBytes(method, response, 200, bytes)
  if (range === 'outside') {
    response.setHeader('content-range', `bytes */${bytes.byteLength}`)
    throw new Refusal(416, 'SIZE_INVALID')
  }
  response.setHeader('content-range', `bytes ${range.first}-${range.last}/${bytes.byteLength}`)
  sendBytes(method, response, 206, bytes.subarray(range.first, range.last + 1))
}

function sendBytes(method: string, response: ServerResponse, status: number, bytes: Buffer): void {
  response.setHeader('content-length', bytes.byteLength)
  response.writeHead(status)
  response.end(method === 'HEAD' ? undefined : bytes)
}

function sendJson(response: ServerResponse, value: unknown, type = 'application/json'): void {
  response.setHeader('content-type', type)
  response.end(JSON.stringify(value))
}

function actionOf(method = 'GET'): string {
  if (method === 'GET' || method === 'HEAD') return 'pull'
  return method === 'DELETE' ? 'delete' : 'push'
}

function isUser(header: string): boolean {
  const { username, password } = USER
  return header === `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function signToken(scopes: readonly string[]): string {
  const body = Buffer.from(JSON.stringify(scopes)).toString('base64url')
  return `${body}.${createHmac('sha256', KEY).update(body).digest('base64url')}`
}

/** The scopes of a token; nothing where it is none of ours. */
function readToken(token: string): readonly string[] | undefined {
  const [body = '', signature] = token.split('.')
  const isOurs = signature === createHmac('sha256', KEY).update(body).digest('base64url')
  return isOurs ? (JSON.parse(Buffer.from(body, 'base64url').toString()) as string[]) : undefined
}
