/** An access key, in the SDK's names. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When the key ends. */
  readonly expiration?: Date
}

/** What is signed of a request; the hash of a body is that of none. */
export interface UnsignedRequest {
  readonly method: string
  readonly host: string
  /** Encoded, without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
}

/** For what and by whom a request is signed. */
export interface SigningScope {
  readonly credentials: Credentials
  readonly region: string
  readonly date: Date
}

/** The longest that a signature in the query can hold. */
export const LONGEST_SIGNATURE_S = 7 * 24 * 3600

const ALGORITHM = 'AWS4-HMAC-SHA256'
const SERVICE = 's3'
/** SHA-256 of nothing. */
const NO_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/**
 * The headers that sign a request without a body (AWS Signature Version 4, as S3 takes it: the path
 * is encoded once and never normalised).
 */
export function signatureHeaders(
  request: UnsignedRequest,
  { credentials, region, date }: SigningScope,
): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  const time = date.toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const day = time.slice(0, 8)
  const headers: Record<string, string> = {
    host: request.host,
    'x-amz-content-sha256': NO_BODY,
    'x-amz-date': time,
    // A program may pass on a variable that is empty.
    ...(sessionToken && { 'x-amz-security-token': sessionToken }),
  }
  // They are in the order of their names.
  const names = Object.keys(headers).join(';')
  const canonical = [
    request.method,
    request.path,
    queryString(request.query),
    ...Object.entries(headers).map(([name, value]) => `${name}:${value.trim()}`),
    '',
    names,
    NO_BODY,
  ].join('\n')
  const scope = `${day}/${region}/${SERVICE}/aws4_request`
  const text = [ALGORITHM, time, scope, sha256(canonical)].join('\n')
  const key = [day, region, SERVICE, 'aws4_request'].reduce(
    (previous: string | Buffer, part) => hmac(previous, part),
    `AWS4${secretAccessKey}`,
  )
  const signature = hmac(key, text).toString('hex')
  const authorization = `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  return { ...headers, authorization }
}

/** The query as it is signed and sent: by the order of names, each encoded. */
export function queryString(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(value)}`)
    .toSorted()
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

/** Loaded with the first signature. */
function sha256(text: string): string {
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(text).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return process.getBuiltinModule('node:crypto').createHmac('sha256', key).update(text).digest()
}
