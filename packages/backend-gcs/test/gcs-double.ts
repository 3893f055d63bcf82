/**
 * A stand-in for Google Cloud Storage on loopback, for tests and benchmarks.
 *
 * What it proves, because it does it as the service documents it: JSON API with simple, multipart
 * and resumable uploads (chunks in multiples of 256 KiB, status queries, cancelling, the condition
 * judged when the last byte has come), generations that are unique, `ifGenerationMatch` judged
 * atomically with the write (0, current, stale: 412), ranges, reads of one generation, rewrites in
 * several calls, listing by UTF-8 bytes with prefix, delimiter, startOffset and pages, `fields`,
 * MD5 and CRC32C (`md5Hash`, `x-goog-hash` refused when wrong), V4 signed URLs in the XML API with
 * signature and lifetime really checked, service account tokens (JWT grant) really checked,
 * read-only tokens, retention policies, requester pays.
 *
 * What it cannot prove: what the real service does beyond its documentation, IAM in detail, its
 * latency, its rate limits, storage classes and locations (they are only kept), soft delete,
 * versions (an old generation is gone), encryption keys.
 *
 * Contents are files of a folder, so that they may be larger than memory. The state is lost with
 * the process.
 */
import { createHash, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open as openFile, rm } from 'node:fs/promises'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buffer } from 'node:stream/consumers'
import { crc32c } from './crc32c.ts'
import { pickFields } from './field-mask.ts'
import { checkAssertion, checkSignature } from './google-signature.ts'

type Json = Record<string, unknown>
type FileHandle = Awaited<ReturnType<typeof openFile>>

/** How one request is spoiled. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Record<string, string> }
  /** The connection breaks before the request is read. */
  | { readonly kind: 'reset' }
  /** The request takes effect, and the connection breaks before the answer. */
  | { readonly kind: 'lost reply' }
  /** The answer's body breaks off in the middle. */
  | { readonly kind: 'truncated' }
  /** A proxy answers 200 for the service: with a web page, or with nothing. */
  | { readonly kind: 'page' | 'nothing' }
  /** Half of the answer's body comes as if it were all of it. */
  | { readonly kind: 'cut' }
  /** Half of the answer's body comes, and then nothing. */
  | { readonly kind: 'stall' }
  /** Half of the request's body is read, and the connection breaks. */
  | { readonly kind: 'torn upload' }
  /** Only the first half of a chunk is kept, as the service may do. */
  | { readonly kind: 'short chunk' }
  /** One bit of the request's body is another one. */
  | { readonly kind: 'bit flip' }

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

export interface GcsDoubleOptions {
  readonly port?: number | undefined
  /** Where contents lie; a temporary folder without it. */
  readonly folder?: string | undefined
  /** Whose signatures are good. */
  readonly accounts?: ReadonlyMap<string, KeyObject>
  /** What each token may do. With it a request without a token is refused. */
  readonly tokens?: ReadonlyMap<string, 'write' | 'read' | 'nothing'> | undefined
  /** Objects and folders on one page of a listing; default 1000. */
  readonly pageSize?: number | undefined
  /** Bytes that one call of a rewrite copies. */
  readonly rewriteBytes?: number | undefined
  readonly now?: () => number
  /** As some emulators do. */
  readonly ignoresConditions?: boolean
  /** Every object is as one that was composed of others, of which the service knows no MD5. */
  readonly isComposed?: boolean
}

interface Stored {
  readonly name: string
  readonly generation: string
  metageneration: number
  readonly size: number
  readonly md5: string | undefined
  crc32c: string | undefined
  readonly contentType: string
  metadata: Record<string, string>
  readonly storageClass: string
  readonly timeCreated: Date
  updated: Date
  readonly path: string
}

interface Bucket {
  readonly name: string
  readonly settings: Json
  readonly objects: Map<string, Stored>
  /** In key order; made when it is needed. */
  sorted: string[] | undefined
}

interface Session {
  /** Over when the requests so far are. */
  turn: Promise<void>
  readonly bucket: Bucket
  readonly resource: Json
  readonly ifGenerationMatch: string | null
  readonly fields: string | null
  readonly path: string
  readonly file: FileHandle
  readonly hash: ReturnType<typeof createHash>
  size: number
  done: Stored | undefined
  /** Why it ended without an object. */
  failure: unknown
}

interface Reply {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: Buffer | undefined
  /** A part of a file instead; closed when it was sent. */
  readonly file?: { readonly handle: FileHandle; readonly start: number; readonly end: number }
}

const CHUNK = 256 * 1024

/** An error answer of the JSON API. */
class Refusal extends Error {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string) {
    super(reason)
    this.status = status
    this.reason = reason
  }
}

/** The double: see the head of this file. */
export class GcsDouble {
  readonly requests: SeenRequest[] = []
  readonly #options: GcsDoubleOptions
  readonly #server: Server
  readonly #folder: string
  readonly #buckets = new Map<string, Bucket>()
  readonly #sessions = new Map<string, Session>()
  readonly #rewrites = new Map<string, number>()
  readonly #faults = new Map<number, Fault>()
  #files = 0
  #lastSession = 0
  #lastGeneration = 0n

  private constructor(options: GcsDoubleOptions, folder: string) {
    this.#options = options
    this.#folder = folder
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      void this.#serve(request, response)
    })
  }

  static async start(options: GcsDoubleOptions = {}): Promise<GcsDouble> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 's3lo-gcs-')))
    const double = new GcsDouble(options, folder)
    double.#server.listen(options.port ?? 0, '127.0.0.1')
    await once(double.#server, 'listening')
    return double
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get seen(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url.split('?')[0]}`)
  }

  makeBucket(name: string, settings: Json = {}): void {
    this.#buckets.set(name, { name, settings, objects: new Map(), sorted: undefined })
  }

  /** How many uploads are neither finished nor cancelled. */
  get openSessions(): number {
    return [...this.#sessions.values()].filter(({ done }) => done === undefined).length
  }

  /** Spoils the `nth` request from now on (from 1), and forgets what was seen before. */
  spoil(...faults: readonly (readonly [nth: number, fault: Fault])[]): void {
    this.requests.length = 0
    this.#faults.clear()
    for (const [nth, fault] of faults) this.#faults.set(nth, fault)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    for (const { file } of this.#sessions.values()) await file.close().catch(() => {})
    if (this.#options.folder === undefined) await rm(this.#folder, { recursive: true, force: true })
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => {})
    response.on('error', () => {})
    const { method = '', url = '', headers, socket } = request
    this.requests.push({ method, url, headers })
    const fault = this.#faults.get(this.requests.length)
    if (fault?.kind === 'reset') return void socket.destroy()
    if (fault?.kind === 'status') {
      request.resume()
      return this.#send(response, { status: fault.status, headers: fault.headers ?? {} }, undefined)
    }
    if (fault?.kind === 'page' || fault?.kind === 'nothing') {
      request.resume()
      return this.#send(response, pageReply(fault.kind), undefined)
    }
    let reply: Reply
    try {
      reply = await this.#answer(request, fault)
    } catch (error) {
      if (fault?.kind === 'torn upload') return void socket.destroy()
      if (request.destroyed && !request.complete) return
      reply = refusalReply(error, url)
    }
    request.resume()
    if (fault?.kind === 'lost reply') {
      await reply.file?.handle.close()
      return void socket.destroy()
    }
    await this.#send(response, reply, fault)
  }

  async #send(response: ServerResponse, reply: Reply, fault: Fault | undefined): Promise<void> {
    const { status, headers = {}, body = Buffer.alloc(0), file } = reply
    const whole = file ? file.end - file.start : body.byteLength
    const length = fault?.kind === 'cut' ? whole >> 1 : whole
    const date = new Date(this.#now()).toUTCString()
    response.writeHead(status, { date, ...headers, 'content-length': length })
    const isBroken = fault?.kind === 'truncated' || fault?.kind === 'stall'
    const sent = isBroken ? Math.floor(length / 2) : length
    if (!file) {
      response.write(body.subarray(0, sent))
    } else if (sent > 0) {
      const { handle, start } = file
      const source = handle.createReadStream({ start, end: start + sent - 1, highWaterMark: CHUNK })
      await pipeline(source, response, { end: false }).catch(() => {})
    } else {
      await file.handle.close()
    }
    if (fault?.kind === 'stall') return
    if (fault?.kind === 'truncated') setImmediate(() => response.destroy())
    else response.end()
  }

  async #answer(request: IncomingMessage, fault: Fault | undefined): Promise<Reply> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', this.url)
    const path = url.pathname
    if (path === '/token') return this.#token(request)
    const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(path)
    const copy = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/rewriteTo\/b\/([^/]+)\/o\/([^/]+)$/.exec(
      path,
    )
    const object = /^(?:\/download)?\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/.exec(path)
    const list = /^\/storage\/v1\/b\/([^/]+)\/o\/?$/.exec(path)
    const bucket = /^\/storage\/v1\/b\/([^/]+)$/.exec(path)
    const query = url.searchParams
    if (upload && query.has('upload_id')) return this.#chunk(request, query, fault)
    if (upload || copy || object || list || bucket || path === '/storage/v1/b') {
      this.#authorize(headers, method)
    }
    if (upload) return this.#upload(request, this.#bucketOf(upload, query, headers), query, fault)
    if (copy) return this.#rewrite(copy, query)
    if (object)
      return this.#object(request, this.#bucketOf(object, query, headers), nameOf(object, 2), query)
    if (list) return json(this.#list(this.#bucketOf(list, query, headers), query), query)
    if (bucket && method === 'DELETE') {
      this.#buckets.delete(nameOf(bucket, 1))
      return { status: 204 }
    }
    if (bucket) return this.#settings(nameOf(bucket, 1), headers, query)
    if (path === '/storage/v1/b') {
      const { name, ...settings } = parse(await buffer(request))
      if (this.#buckets.has(String(name))) throw new Refusal(409, 'conflict')
      this.makeBucket(String(name), settings)
      return json({ name, ...settings }, query)
    }
    return this.#xml(request, url, fault)
  }

  #authorize(headers: IncomingHttpHeaders, method: string): void {
    const { tokens } = this.#options
    if (tokens === undefined) return
    const [, token = ''] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? []
    const right = tokens.get(token)
    if (right === undefined) throw new Refusal(401, token ? 'authError' : 'required')
    if (right === 'nothing' || (right === 'read' && method !== 'GET')) {
      throw new Refusal(403, 'forbidden')
    }
  }

  #settings(name: string, headers: IncomingHttpHeaders, query: URLSearchParams): Reply {
    const { tokens } = this.#options
    const [, token = ''] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? []
    // The settings are more than a reader of objects may see.
    if (tokens && tokens.get(token) !== 'write') throw new Refusal(403, 'forbidden')
    const found = this.#buckets.get(name)
    if (!found) throw new Refusal(404, 'notFound')
    return json({ kind: 'storage#bucket', name, ...found.settings }, query)
  }

  #bucketOf(match: RegExpExecArray, query: URLSearchParams, headers: IncomingHttpHeaders): Bucket {
    const bucket = this.#buckets.get(nameOf(match, 1))
    if (!bucket) throw new Refusal(404, 'notFound')
    const { requesterPays } = (bucket.settings['billing'] ?? {}) as Json
    const payer = query.get('userProject') ?? headers['x-goog-user-project']
    if (requesterPays === true && !payer) throw new Refusal(400, 'required')
    return bucket
  }

  async #object(
    request: IncomingMessage,
    bucket: Bucket,
    name: string,
    query: URLSearchParams,
  ): Promise<Reply> {
    const { method, headers } = request
    const found = bucket.objects.get(name)
    const generation = query.get('generation')
    if (!found || (generation !== null && generation !== found.generation)) {
      throw new Refusal(404, 'notFound')
    }
    if (method === 'DELETE') {
      assertGeneration(found, query.get('ifGenerationMatch'))
      await this.#remove(bucket, found)
      return { status: 204 }
    }
    if (method === 'PATCH') {
      const { metadata = {} } = parse(await buffer(request))
      Object.assign(found.metadata, metadata)
      found.metageneration += 1
      found.updated = new Date(this.#now())
      return json(resourceOf(bucket, found), query)
    }
    if (query.get('alt') !== 'media') return json(resourceOf(bucket, found), query)
    return content(found, headers.range)
  }

  async #remove(bucket: Bucket, found: Stored): Promise<void> {
    const { retentionPeriod } = (bucket.settings['retentionPolicy'] ?? {}) as Json
    if (retentionPeriod !== undefined) throw new Refusal(403, 'retentionPolicyNotMet')
    // Before the first wait: no other request may find it now.
    if (bucket.objects.get(found.name) === found) bucket.objects.delete(found.name)
    bucket.sorted = undefined
    await rm(found.path, { force: true })
  }

  async #upload(
    request: IncomingMessage,
    bucket: Bucket,
    query: URLSearchParams,
    fault: Fault | undefined,
  ): Promise<Reply> {
    const type = query.get('uploadType')
    if (type === 'resumable') return this.#openSession(request, bucket, query)
    const body = await bodyOf(request, fault)
    const [resource, bytes] =
      type === 'multipart'
        ? splitMultipart(body, request.headers['content-type'])
        : [{ contentType: request.headers['content-type'] }, body]
    const name = query.get('name') ?? resource['name']
    const path = this.#newPath()
    const file = await openFile(path, 'wx')
    await file.write(bytes)
    await file.close()
    const md5 = createHash('md5').update(bytes).digest('base64')
    if (resource['md5Hash'] !== undefined && resource['md5Hash'] !== md5) {
      throw new Refusal(400, 'invalid')
    }
    const stored = this.#stored({ ...resource, name }, path, bytes.byteLength, md5)
    stored.crc32c = crc32c(bytes)
    this.#commit(bucket, stored, query.get('ifGenerationMatch'))
    return json(resourceOf(bucket, stored), query)
  }

  async #openSession(
    request: IncomingMessage,
    bucket: Bucket,
    query: URLSearchParams,
  ): Promise<Reply> {
    const text = await buffer(request)
    const resource = text.byteLength > 0 ? parse(text) : {}
    const contentType = request.headers['x-upload-content-type']
    const path = this.#newPath()
    // Not how many there are: that stands still while a file is opened, and sinks with each cancel.
    this.#lastSession += 1
    const id = `session-${this.#lastSession}`
    this.#sessions.set(id, {
      bucket,
      resource: { contentType, name: query.get('name'), ...resource },
      ifGenerationMatch: query.get('ifGenerationMatch'),
      fields: query.get('fields'),
      path,
      file: await openFile(path, 'wx+'),
      turn: Promise.resolve(),
      hash: createHash('md5'),
      size: 0,
      done: undefined,
      failure: undefined,
    })
    const location = `${this.url}/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&upload_id=${id}`
    return { status: 200, headers: { location } }
  }

  async #chunk(
    request: IncomingMessage,
    query: URLSearchParams,
    fault: Fault | undefined,
  ): Promise<Reply> {
    const id = query.get('upload_id') ?? ''
    const session = this.#sessions.get(id)
    if (!session) throw new Refusal(404, 'notFound')
    // What a broken request has sent is there before the next one is heard.
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = session.turn
    session.turn = promise
    await before
    try {
      return await this.#chunkInTurn(id, session, request, fault)
    } finally {
      resolve()
    }
  }

  async #chunkInTurn(
    id: string,
    session: Session,
    request: IncomingMessage,
    fault: Fault | undefined,
  ): Promise<Reply> {
    if (request.method === 'DELETE') {
      this.#sessions.delete(id)
      await session.file.close()
      await rm(session.path, { force: true })
      return { status: 499 }
    }
    const mask = new URLSearchParams(session.fields === null ? {} : { fields: session.fields })
    if (session.failure !== undefined) throw session.failure
    if (session.done) return json(resourceOf(session.bucket, session.done), mask)
    const range = request.headers['content-range'] ?? 'bytes 0-*/*'
    const [, first, end, total] = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(range) ?? []
    if (total === undefined) throw new Refusal(400, 'invalid')
    // All that is left comes in one request, however much it is.
    const isOneShot = end === '*'
    if (first !== undefined) {
      if (Number(first) !== session.size) throw new Refusal(503, 'backendError')
      await takeChunk(session, request, fault, isOneShot || total !== '*')
    }
    if (isOneShot || Number(total) === session.size) {
      return this.#finish(session, request.headers, mask)
    }
    const headers: Record<string, string> =
      session.size > 0 ? { range: `bytes=0-${session.size - 1}` } : {}
    return { status: 308, headers }
  }

  async #finish(
    session: Session,
    headers: IncomingHttpHeaders,
    query: URLSearchParams,
  ): Promise<Reply> {
    const { bucket, resource, path, file } = session
    const md5 = session.hash.digest('base64')
    const [, wanted] = /md5=([^,]+)/.exec(String(headers['x-goog-hash'] ?? '')) ?? []
    const expected = wanted ?? resource['md5Hash']
    const stored = this.#stored(resource, path, session.size, md5)
    const wantsCrc = session.fields === null || session.fields.includes('crc32c')
    if (wantsCrc) stored.crc32c = crc32c(...(await blocksOf(file, session.size)))
    await file.close()
    try {
      if (expected !== undefined && expected !== md5) throw new Refusal(400, 'invalid')
      this.#commit(bucket, stored, session.ifGenerationMatch)
    } catch (error) {
      session.failure = error
      throw error
    }
    session.done = stored
    return json(resourceOf(bucket, stored), query)
  }

  #stored(resource: Json, path: string, size: number, md5: string | undefined): Stored {
    const { name, contentType, metadata = {}, storageClass = 'STANDARD' } = resource
    const now = this.#now()
    const next = BigInt(Math.floor(now)) * 1000n
    this.#lastGeneration = next > this.#lastGeneration ? next : this.#lastGeneration + 1n
    return {
      name: String(name),
      generation: String(this.#lastGeneration),
      metageneration: 1,
      size,
      md5: this.#options.isComposed ? undefined : md5,
      crc32c: undefined,
      contentType: typeof contentType === 'string' ? contentType : 'application/octet-stream',
      metadata: { ...(metadata as Record<string, string>) },
      storageClass: String(storageClass),
      timeCreated: new Date(now),
      updated: new Date(now),
      path,
    }
  }

  /** Judges the condition and writes, with no wait in between: of N racers one wins. */
  #commit(bucket: Bucket, stored: Stored, ifGenerationMatch: string | null): void {
    const current = bucket.objects.get(stored.name)
    if (!this.#options.ignoresConditions) assertGeneration(current, ifGenerationMatch)
    const { retentionPeriod } = (bucket.settings['retentionPolicy'] ?? {}) as Json
    if (current && retentionPeriod !== undefined) throw new Refusal(403, 'retentionPolicyNotMet')
    bucket.objects.set(stored.name, stored)
    if (!current) bucket.sorted = undefined
    // A reader that has the old file open may read on.
    else void rm(current.path, { force: true })
  }

  async #rewrite(match: RegExpExecArray, query: URLSearchParams): Promise<Reply> {
    const source = this.#buckets.get(nameOf(match, 1))?.objects.get(nameOf(match, 2))
    const target = this.#buckets.get(nameOf(match, 3))
    if (!source || !target) throw new Refusal(404, 'notFound')
    assertGeneration(source, query.get('ifSourceGenerationMatch'))
    const { rewriteBytes = Number.POSITIVE_INFINITY } = this.#options
    const token = query.get('rewriteToken')
    const copied = (token === null ? 0 : (this.#rewrites.get(token) ?? 0)) + rewriteBytes
    if (copied < source.size) {
      const next = `rewrite-${this.#rewrites.size}-${source.generation}`
      this.#rewrites.set(next, copied)
      return json({ done: false, rewriteToken: next, objectSize: String(source.size) }, query)
    }
    const path = this.#newPath()
    const from = await openFile(source.path)
    const to = await openFile(path, 'wx')
    await pipeline(from.createReadStream(), to.createWriteStream())
    const { size, md5, contentType, metadata, storageClass } = source
    const resource = { name: nameOf(match, 4), contentType, metadata, storageClass }
    const stored = this.#stored(resource, path, size, md5)
    stored.crc32c = source.crc32c
    this.#commit(target, stored, query.get('ifGenerationMatch'))
    return json({ done: true, resource: resourceOf(target, stored) }, query)
  }

  #list(bucket: Bucket, query: URLSearchParams): Json {
    const prefix = query.get('prefix') ?? ''
    const delimiter = query.get('delimiter')
    const most = Math.min(Number(query.get('maxResults') ?? 1000), this.#options.pageSize ?? 1000)
    const after = query.get('pageToken')
    const offset = query.get('startOffset') ?? ''
    bucket.sorted ??= [...bucket.objects.keys()].toSorted(byUtf8)
    const items: Json[] = []
    const prefixes: string[] = []
    const last = after === null ? undefined : Buffer.from(after, 'base64url').toString()
    let latest = ''
    const kind = 'storage#objects'
    for (const name of bucket.sorted) {
      if (!name.startsWith(prefix) || byUtf8(name, offset) < 0) continue
      if (last !== undefined && (byUtf8(name, last) <= 0 || isBelow(name, last, delimiter)))
        continue
      const end = delimiter ? name.indexOf(delimiter, prefix.length) : -1
      const folder = end === -1 ? undefined : name.slice(0, end + 1)
      if (folder !== undefined && folder === prefixes.at(-1)) continue
      if (items.length + prefixes.length === most) {
        return { kind, items, prefixes, nextPageToken: Buffer.from(latest).toString('base64url') }
      }
      latest = folder ?? name
      const found = bucket.objects.get(name)
      if (folder !== undefined) prefixes.push(folder)
      else if (found) items.push(resourceOf(bucket, found))
    }
    return { kind, ...(items[0] && { items }), ...(prefixes[0] && { prefixes }) }
  }

  /** The XML API: signed URLs only. */
  async #xml(request: IncomingMessage, url: URL, fault: Fault | undefined): Promise<Reply> {
    const { accounts = new Map<string, KeyObject>() } = this.#options
    const refusal = checkSignature(request, accounts, this.#now())
    if (refusal) throw new XmlRefusal(...refusal)
    const [, bucketName = '', key = ''] = /^\/([^/]+)\/(.+)$/.exec(url.pathname) ?? []
    const bucket = this.#buckets.get(decodeURIComponent(bucketName))
    if (!bucket) throw new XmlRefusal(404, 'NoSuchBucket')
    const name = decodeURIComponent(key)
    const found = bucket.objects.get(name)
    const { method, headers } = request
    const condition = headers['x-goog-if-generation-match']
    const wanted = typeof condition === 'string' ? condition : null
    if (method === 'PUT') {
      const bytes = await bodyOf(request, fault)
      const md5 = createHash('md5').update(bytes).digest('base64')
      if (headers['content-md5'] !== undefined && headers['content-md5'] !== md5) {
        throw new XmlRefusal(400, 'BadDigest')
      }
      const metadata = Object.fromEntries(
        Object.entries(headers)
          .filter(([header]) => header.startsWith('x-goog-meta-'))
          .map(([header, value]) => [header.slice('x-goog-meta-'.length), String(value)]),
      )
      const path = this.#newPath()
      const file = await openFile(path, 'wx')
      await file.write(bytes)
      await file.close()
      const resource = { name, contentType: headers['content-type'], metadata }
      const stored = this.#stored(resource, path, bytes.byteLength, md5)
      stored.crc32c = crc32c(bytes)
      asXml(() => this.#commit(bucket, stored, wanted))
      return { status: 200, headers: headersOf(stored) }
    }
    if (!found) throw new XmlRefusal(404, 'NoSuchKey')
    if (method !== 'DELETE') return content(found, headers.range)
    asXml(() => assertGeneration(found, wanted))
    await this.#remove(bucket, found)
    return { status: 204 }
  }

  /** The identity service: exchanges a service account's assertion for a token. */
  async #token(request: IncomingMessage): Promise<Reply> {
    const { accounts = new Map<string, KeyObject>() } = this.#options
    const form = new URLSearchParams(String(await buffer(request)))
    const problem = checkAssertion(form.get('assertion') ?? '', accounts, this.#now())
    const headers = {
      'content-type': 'application/json',
      date: new Date(this.#now()).toUTCString(),
    }
    const answer = problem
      ? { error: 'invalid_grant', error_description: problem }
      : { access_token: 'granted', expires_in: 3600, token_type: 'Bearer' }
    return { status: problem ? 400 : 200, headers, body: Buffer.from(JSON.stringify(answer)) }
  }

  #newPath(): string {
    this.#files += 1
    return join(this.#folder, `content-${process.pid}-${this.#files}`)
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now()
  }
}

/** An error answer of the XML API. */
class XmlRefusal extends Refusal {}

function asXml(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const reason = error.status === 412 ? 'PreconditionFailed' : 'AccessDenied'
    throw new XmlRefusal(error.status, reason)
  }
}

function refusalReply(error: unknown, url: string): Reply {
  if (!(error instanceof Refusal)) {
    process.stderr.write(`the double failed at ${url}: ${String(error)}\n`)
    return { status: 500 }
  }
  const { status, reason } = error
  if (error instanceof XmlRefusal) {
    const body = `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${reason}</Code></Error>`
    const headers = { 'content-type': 'application/xml; charset=UTF-8' }
    return { status, headers, body: Buffer.from(body) }
  }
  const answer = {
    error: { code: status, message: reason, errors: [{ domain: 'global', reason }] },
  }
  return { ...json(answer, new URLSearchParams()), status }
}

async function takeChunk(
  session: Session,
  request: IncomingMessage,
  fault: Fault | undefined,
  isLast: boolean,
): Promise<void> {
  const announced = Number(request.headers['content-length'] ?? Number.NaN)
  const isCut = fault?.kind === 'torn upload' || fault?.kind === 'short chunk'
  const most = isCut ? Math.floor(announced / 2) : Number.POSITIVE_INFINITY
  let waiting: Buffer[] = []
  let length = 0
  let taken = 0
  const flush = async (bytes: number): Promise<void> => {
    const all = Buffer.concat(waiting)
    const whole = all.subarray(0, bytes)
    await session.file.write(whole, 0, whole.byteLength, session.size)
    session.hash.update(whole)
    session.size += whole.byteLength
    waiting = [all.subarray(bytes)]
    length -= bytes
  }
  for await (const chunk of request as AsyncIterable<Buffer>) {
    const kept = chunk.subarray(0, Math.max(0, most - taken))
    taken += kept.byteLength
    if (kept.byteLength === 0 && fault?.kind === 'torn upload') break
    if (fault?.kind === 'bit flip' && taken === kept.byteLength && kept[0] !== undefined)
      kept[0] ^= 1
    waiting.push(kept)
    length += kept.byteLength
    if (length >= 4 * CHUNK) await flush(length - (length % CHUNK))
  }
  // What is not a multiple is kept only at the end.
  await flush(isLast && !isCut ? length : length - (length % CHUNK))
  if (fault?.kind === 'torn upload') throw new Error('torn')
}

function pageReply(kind: 'page' | 'nothing'): Reply {
  if (kind === 'nothing') return { status: 200 }
  const body = Buffer.from('<!DOCTYPE html><html><body>Sign in</body></html>')
  return { status: 200, headers: { 'content-type': 'text/html' }, body }
}

async function bodyOf(request: IncomingMessage, fault: Fault | undefined): Promise<Buffer> {
  if (fault?.kind === 'torn upload') {
    await once(request, 'data')
    throw new Error('torn')
  }
  const body = await buffer(request)
  const last = body.byteLength - 80
  // Inside the content, also of a multipart body.
  if (fault?.kind === 'bit flip' && body[last] !== undefined) body[last] ^= 1
  return body
}

async function content(found: Stored, range: string | undefined): Promise<Reply> {
  const headers = headersOf(found)
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
  if (range !== undefined && from !== undefined) {
    const start = Number(from)
    if (start >= found.size) throw new Refusal(416, 'requestedRangeNotSatisfiable')
    const end = to ? Math.min(Number(to) + 1, found.size) : found.size
    headers['content-range'] = `bytes ${start}-${end - 1}/${found.size}`
    return { status: 206, headers, file: { handle: await openFile(found.path), start, end } }
  }
  return {
    status: 200,
    headers,
    file: { handle: await openFile(found.path), start: 0, end: found.size },
  }
}

function headersOf(found: Stored): Record<string, string> {
  const { generation, metageneration, size, md5, storageClass, contentType, updated } = found
  const hashes = [found.crc32c && `crc32c=${found.crc32c}`, md5 && `md5=${md5}`].filter(Boolean)
  return {
    'content-type': contentType,
    'last-modified': updated.toUTCString(),
    etag: `"${md5 ?? generation}"`,
    'x-goog-generation': generation,
    'x-goog-metageneration': String(metageneration),
    'x-goog-hash': hashes.join(','),
    'x-goog-stored-content-length': String(size),
    'x-goog-stored-content-encoding': 'identity',
    'x-goog-storage-class': storageClass,
  }
}

function resourceOf(bucket: Bucket, found: Stored): Json {
  const { name, generation, metageneration, size, md5, contentType, metadata, storageClass } = found
  return {
    kind: 'storage#object',
    id: `${bucket.name}/${name}/${generation}`,
    bucket: bucket.name,
    name,
    generation,
    metageneration: String(metageneration),
    contentType,
    storageClass,
    size: String(size),
    ...(md5 !== undefined && { md5Hash: md5 }),
    ...(found.crc32c !== undefined && { crc32c: found.crc32c }),
    etag: Buffer.from(`${generation}/${metageneration}`).toString('base64'),
    timeCreated: found.timeCreated.toISOString(),
    updated: found.updated.toISOString(),
    ...(Object.keys(metadata).length > 0 && { metadata }),
  }
}

function assertGeneration(current: Stored | undefined, wanted: string | null): void {
  if (wanted === null) return
  if (!/^\d+$/.test(wanted)) throw new Refusal(400, 'invalid')
  if ((current?.generation ?? '0') !== wanted) throw new Refusal(412, 'conditionNotMet')
}

function json(answer: Json, query: URLSearchParams): Reply {
  const fields = query.get('fields')
  const body = Buffer.from(JSON.stringify(fields === null ? answer : pickFields(answer, fields)))
  return { status: 200, headers: { 'content-type': 'application/json; charset=UTF-8' }, body }
}

function parse(content: Buffer): Json {
  return JSON.parse(content.toString()) as Json
}

function splitMultipart(body: Buffer, type = ''): [Json, Buffer] {
  const [, boundary] = /boundary="?([^";]+)/.exec(type) ?? []
  const mark = Buffer.from(`--${boundary}`)
  const second = body.indexOf(mark, mark.byteLength)
  const first = body.subarray(body.indexOf('\r\n\r\n') + 4, second)
  const start = body.indexOf('\r\n\r\n', second) + 4
  const end = body.lastIndexOf(`\r\n--${boundary}--`)
  return [parse(first), body.subarray(start, end)]
}

async function blocksOf(file: FileHandle, size: number): Promise<Buffer[]> {
  const content = Buffer.alloc(size)
  await file.read(content, 0, size, 0)
  return [content]
}

function nameOf(match: RegExpExecArray, group: number): string {
  return decodeURIComponent(match[group] ?? '')
}

function isBelow(name: string, last: string, delimiter: string | null): boolean {
  return delimiter !== null && last.endsWith(delimiter) && name.startsWith(last)
}

function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
