import { createHash } from 'node:crypto'
import {
  type Answer,
  answer,
  type BegunRequest,
  begun,
  refuse,
  type SeenRequest,
  xml,
} from './fake-s3.ts'

/** What a service gets wrong. */
export interface Flaws {
  /** If-None-Match is not looked at. */
  readonly ignoresAbsent?: boolean
  /** Two creates that come close together both win. */
  readonly isNotAtomic?: boolean
  /** Conditions are looked at when a request begins, and not when its body has come. */
  readonly judgesEarly?: boolean
  /** If-None-Match is not looked at when a multipart upload ends. */
  readonly ignoresAbsentAtEnd?: boolean
  /** If-Match is not looked at. */
  readonly ignoresUnchanged?: boolean
  /** If-Match is a request that the service does not know. */
  readonly refusesUnchanged?: boolean
  /** The end of a signature is not looked at when something is written. */
  readonly ignoresLateWrites?: boolean
  /** The end of a signature is not looked at when something is deleted. */
  readonly ignoresLateDeletes?: boolean
  /** Signatures in the query are refused. */
  readonly refusesPresigned?: boolean
  /** A body is not held against the hash of it that is signed. */
  readonly ignoresPayload?: boolean
}

/** Objects in memory, behind as much of the protocol as a probe uses. */
export class FlawedS3 {
  readonly objects = new Map<string, string>()
  readonly contents = new Map<string, Buffer>()
  /** What it calls itself. */
  server = 'flawed'
  /** When everything was written. */
  writtenAt = new Date()
  readonly #flaws: Flaws
  /** The etags that were there when requests began, by the requests' headers. */
  readonly #early = new WeakMap<object, string | undefined>()
  #writes = 0

  constructor(flaws: Flaws = {}) {
    this.#flaws = flaws
  }

  readonly begin = ({ url, headers }: BegunRequest): void => {
    const { pathname } = new URL(url, 'http://s3')
    if (this.#flaws.judgesEarly) this.#early.set(headers, this.objects.get(pathname))
  }

  readonly answer: Answer = (response, request) => {
    response.setHeader('server', this.server)
    this.#answerTo(request)(response, request)
  }

  #answerTo(request: SeenRequest): Answer {
    const url = new URL(request.url, 'http://s3')
    const isJudged = this.#early.has(request.headers)
    const etag = isJudged ? this.#early.get(request.headers) : this.objects.get(url.pathname)
    const refusal =
      this.#late(request, url) ?? this.#payload(request) ?? this.#condition(request, url, etag)
    if (refusal) return refuse(refusal.status, refusal.code)
    if (request.method === 'HEAD') return etag ? written(etag) : refuse(404, 'NoSuchKey')
    if (request.method === 'GET') return this.#read(url, etag)
    if (request.method === 'DELETE') return answer(204)
    if (url.searchParams.has('delete')) return this.#delete(request)
    if (url.searchParams.has('uploads')) return begun
    if (url.searchParams.has('partNumber')) return written('part')
    return this.#write(request, url)
  }

  #write({ method, body }: SeenRequest, { pathname }: URL): Answer {
    this.#writes += 1
    const etag = createHash('md5').update(`${body.toString()} ${this.#writes}`).digest('hex')
    this.objects.set(pathname, etag)
    this.contents.set(pathname, body)
    const end = `<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>`
    return method === 'POST' ? xml(end) : written(etag)
  }

  #read({ pathname }: URL, etag: string | undefined): Answer {
    const content = this.contents.get(pathname)
    if (etag === undefined || content === undefined) return refuse(404, 'NoSuchKey')
    const headers = {
      etag: `"${etag}"`,
      'last-modified': this.writtenAt.toUTCString(),
      'content-length': String(content.length),
      date: new Date().toUTCString(),
    }
    return answer(200, headers, content.toString())
  }

  #late({ method, headers }: SeenRequest, url: URL): Refusal | undefined {
    const query = url.searchParams
    if (!query.has('X-Amz-Signature')) return undefined
    if (this.#flaws.refusesPresigned) return { status: 403, code: 'AccessDenied' }
    const isDelete = method === 'DELETE' || query.has('delete')
    if (isDelete ? this.#flaws.ignoresLateDeletes : this.#flaws.ignoresLateWrites) return undefined
    const date = (query.get('X-Amz-Date') ?? '').replace(
      /^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/,
      '$1-$2-$3:$4:$5',
    )
    const end = Date.parse(date) + Number(query.get('X-Amz-Expires')) * 1000
    // A signature may be in the query only, or it would be the header that counts.
    if (headers.authorization !== undefined) return { status: 400, code: 'InvalidArgument' }
    return end < Date.now() ? { status: 403, code: 'AccessDenied' } : undefined
  }

  #payload({ headers, body }: SeenRequest): Refusal | undefined {
    const signed = String(headers['x-amz-content-sha256'] ?? '')
    const isHash = /^[0-9a-f]{64}$/.test(signed)
    const isSame = signed === createHash('sha256').update(body).digest('hex')
    if (!isHash || isSame || this.#flaws.ignoresPayload) return undefined
    return { status: 400, code: 'XAmzContentSHA256Mismatch' }
  }

  #condition({ method, headers }: SeenRequest, url: URL, etag?: string): Refusal | undefined {
    const flaws = this.#flaws
    const lost = { status: 412, code: 'PreconditionFailed' }
    const isEnd = method === 'POST'
    const isLoose = isEnd ? flaws.ignoresAbsentAtEnd : this.#isLoose(url)
    if (headers['if-none-match'] === '*' && etag !== undefined && !isLoose) return lost
    const expected = headers['if-match']
    if (expected === undefined || flaws.ignoresUnchanged) return undefined
    if (flaws.refusesUnchanged) return { status: 501, code: 'NotImplemented' }
    return expected === `"${etag}"` ? undefined : lost
  }

  /** Every seventh creation is let through. */
  #isLoose({ pathname }: URL): boolean | undefined {
    const { ignoresAbsent, isNotAtomic } = this.#flaws
    if (ignoresAbsent) return true
    if (!isNotAtomic || !pathname.includes('create-1')) return false
    this.#writes += 1
    return this.#writes % 7 === 0
  }

  #delete({ body }: SeenRequest): Answer {
    const keys = [...body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => key)
    for (const key of keys) this.objects.delete(`/bucket/${key}`)
    const deleted = keys.map((key) => `<Deleted><Key>${key}</Key></Deleted>`)
    return xml(`<DeleteResult>${deleted.join('')}</DeleteResult>`)
  }
}

interface Refusal {
  readonly status: number
  readonly code: string
}

function written(etag: string): Answer {
  const date = new Date().toUTCString()
  return answer(200, { etag: `"${etag}"`, 'last-modified': date, date })
}
