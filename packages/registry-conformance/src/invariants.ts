import { digestOf } from './content.ts'
import { headerOf, type RegistryRequest, type Reply } from './http/message.ts'

type Invariant = (request: RegistryRequest, reply: Reply) => string | undefined

const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/
const WARNING = /^299 - "(?:[^"\\]|\\.)*"(?:\s*,\s*299 - "(?:[^"\\]|\\.)*")*$/
/** Bytes of all warnings of an answer (distribution-spec, "Warnings"). */
const MAX_WARNINGS = 4096

/** An error in JSON has the form of the specification ("Error Codes"). */
const errorsHaveTheirForm: Invariant = (_, reply) => {
  const isJson = /^application\/json\b/.test(headerOf(reply, 'content-type') ?? '')
  if (reply.status < 400 || reply.status >= 500 || !isJson || reply.method === 'HEAD')
    return undefined
  if (reply.body.byteLength === 0) return undefined
  try {
    const { errors } = JSON.parse(reply.body.toString()) as { errors: { code: string }[] }
    const isRight = errors.length > 0 && errors.every(({ code }) => /^[A-Z][A-Z0-9_]*$/.test(code))
    if (isRight) return undefined
  } catch {
    // Said below.
  }
  return `error body: expected {"errors":[{"code":…}]}, got ${reply.body.toString().slice(0, 100)}`
}

const warningsAreShort: Invariant = (_, reply) => {
  const warnings = reply.values('warning')
  const bytes = warnings.reduce((sum, text) => sum + text.length, 0)
  if (bytes > MAX_WARNINGS) return `Warning: expected at most ${MAX_WARNINGS} bytes, got ${bytes}`
  const odd = warnings.find((text) => !WARNING.test(text))
  return odd === undefined ? undefined : `Warning: expected 299 - "text", got ${odd}`
}

/** A digest that an answer names is the one of its content, and the one that was asked for. */
const digestsAreTrue: Invariant = (request, reply) => {
  const named = headerOf(reply, 'docker-content-digest')
  if (named === undefined || reply.status >= 300) return undefined
  if (!DIGEST.test(named)) return `Docker-Content-Digest: expected a digest, got ${named}`
  const [, asked] = /\/(?:blobs|manifests)\/([a-z0-9]+:[^/?]+)(?:\?|$)/.exec(request.path) ?? []
  if (asked !== undefined && named !== asked) {
    return `Docker-Content-Digest: expected ${asked}, got ${named}`
  }
  if (reply.method !== 'GET' || reply.status !== 200) return undefined
  const real = digestOf(reply.body, named.startsWith('sha512:') ? 'sha512' : 'sha256')
  return real === named ? undefined : `Docker-Content-Digest: expected ${real}, got ${named}`
}

/** Content is named by the digest of its bytes: no other form of it may come unasked. */
const nothingIsEncoded: Invariant = (_, reply) => {
  const encoding = headerOf(reply, 'content-encoding')
  return encoding === undefined ? undefined : `Content-Encoding: expected none, got ${encoding}`
}

const headersComeOnce: Invariant = (_, reply) => {
  const once = [
    'content-length',
    'content-type',
    'content-range',
    'location',
    'docker-content-digest',
  ]
  const twice = once.find((name) => reply.values(name).length > 1)
  return twice === undefined ? undefined : `${twice}: expected it once, got it more often`
}

const INVARIANTS: readonly Invariant[] = [
  errorsHaveTheirForm,
  warningsAreShort,
  digestsAreTrue,
  nothingIsEncoded,
  headersComeOnce,
]

/** What is wrong with an answer to any request; nothing where all holds. */
export function faultOf(request: RegistryRequest, reply: Reply): string | undefined {
  for (const invariant of INVARIANTS) {
    const fault = invariant(request, reply)
    if (fault !== undefined) return fault
  }
  return undefined
}
