import type { KeyObject } from 'node:crypto'

/** An access key, in the SDK's names. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When the key ends. */
  readonly expiration?: Date
  /** It is that of a session with a directory bucket, which has a header of its own. */
  readonly isOfDirectory?: boolean
}

/** What is signed of a request. */
export interface UnsignedRequest {
  readonly method: string
  readonly host: string
  /** Encoded, without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Names in lower case; not all of them are signed. */
  readonly headers?: Readonly<Record<string, string>>
}

/** For what and by whom a request is signed. */
export interface SigningScope {
  readonly credentials: Credentials
  readonly region: string
  readonly date: Date
  /** As the scope of a key calls the service. Default: `s3`. */
  readonly service?: SigningService
}

export type SigningService = 's3' | 's3express' | 's3-outposts' | 'ecr' | 'ecr-public'

/** The longest that a signature in the query can hold. */
export const LONGEST_SIGNATURE_S = 7 * 24 * 3600

const ALGORITHM = 'AWS4-HMAC-SHA256'
/** In place of the hash of a body that the signature does not cover. */
const UNSIGNED = 'UNSIGNED-PAYLOAD'
/** SHA-256 of nothing. */
const NO_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * The headers that sign a request (AWS Signature Version 4, as S3 takes it: the path is encoded once
 * and never normalised). `payload` is the SHA-256 of the body in hexadecimal digits; default: of none.
 */
export function signatureHeaders(
  request: UnsignedRequest,
  scope: SigningScope,
  payload = NO_BODY,
): Record<string, string> {
  const { accessKeyId, sessionToken, isOfDirectory } = scope.credentials
  const token = isOfDirectory ? 'x-amz-s3session-token' : 'x-amz-security-token'
  const stamp = stampOf(scope)
  const added = {
    host: request.host,
    'x-amz-content-sha256': payload,
    'x-amz-date': stamp.time,
    // A program may pass on a variable that is empty.
    ...(sessionToken && { [token]: sessionToken }),
  }
  const signed = signedHeaders({ ...request.headers, ...added }, request.method)
  const names = namesOf(signed)
  const signature = sign({ ...request, signed, payload }, scope, stamp)
  const authorization = `${ALGORITHM} Credential=${accessKeyId}/${stamp.scope}, SignedHeaders=${names}, Signature=${signature}`
  return { ...added, authorization }
}

/**
 * The whole query that signs a request for so many seconds from the scope's date. It covers the same
 * headers as a signature in the headers, and no body.
 */
export function signedQuery(
  request: UnsignedRequest,
  scope: SigningScope,
  seconds: number,
): string {
  const { accessKeyId, sessionToken, isOfDirectory } = scope.credentials
  const token = isOfDirectory ? 'X-Amz-S3session-Token' : 'X-Amz-Security-Token'
  const signed = signedHeaders({ ...request.headers, host: request.host }, request.method)
  const stamp = stampOf(scope)
  const query = {
    ...request.query,
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': `${accessKeyId}/${stamp.scope}`,
    'X-Amz-Date': stamp.time,
    'X-Amz-Expires': String(seconds),
    ...(sessionToken && { [token]: sessionToken }),
    'X-Amz-SignedHeaders': namesOf(signed),
  }
  const signature = sign({ ...request, query, signed, payload: UNSIGNED }, scope, stamp)
  return `${queryString(query)}&X-Amz-Signature=${signature}`
}

type SignedHeaders = readonly (readonly [name: string, value: string])[]

/** What of the headers is signed, by the order of names. Proxies may change the conditions of reads. */
function signedHeaders(headers: Readonly<Record<string, string>>, method: string): SignedHeaders {
  const isRead = method === 'GET' || method === 'HEAD'
  const names = isRead ? /^(host$|x-amz-)/ : /^(host$|x-amz-|content-(md5|type)$|if-(none-)?match$)/
  return Object.entries(headers)
    .filter(([name]) => names.test(name))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function namesOf(signed: SignedHeaders): string {
  return signed.map(([name]) => name).join(';')
}

function sign(
  request: UnsignedRequest & { readonly signed: SignedHeaders; readonly payload: string },
  { credentials }: SigningScope,
  stamp: Stamp,
): string {
  const { method, path, query, signed, payload } = request
  const canonical = [
    method,
    path,
    queryString(query),
    ...signed.map(([name, value]) => `${name}:${withoutSpaces(value)}`),
    '',
    namesOf(signed),
    payload,
  ].join('\n')
  const text = [ALGORITHM, stamp.time, stamp.scope, sha256(canonical)].join('\n')
  return hmac(signingKey(credentials.secretAccessKey, stamp.scope), text).toString('hex')
}

/** As a service compares it: other blanks than these may be parts of a character. */
function withoutSpaces(value: string): string {
  return value.replaceAll(/^[ \t]+|[ \t]+$/g, '').replaceAll(/[ \t]+/g, ' ')
}

/** When a request is signed, and for what its key holds. */
interface Stamp {
  /** As `20261121T092500Z`. */
  readonly time: string
  readonly scope: string
}

function stampOf({ date, region, service = 's3' }: SigningScope): Stamp {
  const time = date.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  return { time, scope: `${time.slice(0, 8)}/${region}/${service}/aws4_request` }
}

let lastKey:
  | { readonly secret: string; readonly scope: string; readonly key: KeyObject }
  | undefined

/** The key of a day, region and service; that of the last request is most often that of the next. */
function signingKey(secret: string, scope: string): KeyObject {
  if (lastKey?.scope === scope && lastKey.secret === secret) return lastKey.key
  const [day = '', ...rest] = scope.split('/')
  const bytes = rest.reduce(hmac, hmac(`AWS4${secret}`, day))
  const key = process.getBuiltinModule('node:crypto').createSecretKey(bytes)
  lastKey = { secret, scope, key }
  return key
}

/** The query as it is signed and sent: by the order of names, each encoded. */
export function queryString(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => [encodeStrictly(name), encodeStrictly(value)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map((parameter) => parameter.join('='))
    .join('&')
}

/** A key as a path: its slashes stay. */
export function pathOf(key: string): string {
  return key.split('/').map(encodeStrictly).join('/')
}

/** RFC 3986: all but unreserved characters. */
function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** Of a text as it goes over the network: headers have a byte for each character. */
function sha256(text: string): string {
  return process.getBuiltinModule('node:crypto').hash('sha256', Buffer.from(text, 'latin1'), 'hex')
}

/** Loaded with the first signature. */
function hmac(key: string | Buffer | KeyObject, text: string): Buffer {
  return process.getBuiltinModule('node:crypto').createHmac('sha256', key).update(text).digest()
}
