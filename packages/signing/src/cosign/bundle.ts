import { createHash } from 'node:crypto'
import {
  asArray,
  asObject,
  asString,
  isS3loError,
  parseStrictJson,
  refuseLookalikes,
} from '@s3lo/core/plugin'
import { decodeBase64, encodeBase64 } from '../base64.ts'
import type { PublicKey } from '../keys/public-key.ts'

/** The media type of a sigstore bundle, and the artifact type of its manifest. */
export const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** What a statement says: that the image was signed, not more. An SBOM's says something else. */
export const SIGN_PREDICATE = 'https://sigstore.dev/cosign/sign/v1'

const STATEMENT = 'https://in-toto.io/Statement/v1'
const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

const ENVELOPE_MEMBERS = new Set(['payload', 'payloadType', 'signatures'])
const STATEMENT_MEMBERS = new Set(['_type', 'subject', 'predicateType', 'predicate'])

/** The statement (in-toto v1) that an image was signed. */
export function signStatement(digest: string): Uint8Array {
  const [algorithm = '', hex = ''] = digest.split(':')
  return Buffer.from(
    JSON.stringify({
      _type: STATEMENT,
      subject: [{ digest: { [algorithm]: hex }, annotations: {} }],
      predicateType: SIGN_PREDICATE,
      predicate: {},
    }),
  )
}

/** The bytes that the envelope's signature is of (DSSE v1.0.2, "signature definition"). */
export function preAuthEncoding(statement: Uint8Array): Uint8Array {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${statement.byteLength} `),
    statement,
  ])
}

/** A bundle as cosign 3 writes it for a key: no certificate, no log, no timestamp. */
export function formatBundle(
  statement: Uint8Array,
  signature: Uint8Array,
  { spki }: PublicKey,
): Uint8Array {
  const hint = createHash('sha256').update(spki).digest('base64')
  return Buffer.from(
    JSON.stringify({
      mediaType: BUNDLE_TYPE,
      verificationMaterial: { publicKey: { hint } },
      dsseEnvelope: {
        payload: encodeBase64(statement),
        payloadType: PAYLOAD_TYPE,
        signatures: [{ sig: encodeBase64(signature) }],
      },
    }),
  )
}

/** The digests that the key signed in a bundle; a text says why there are none. */
export function verifyBundle(content: Uint8Array, key: PublicKey): readonly string[] | string {
  try {
    return verifyEnvelope(content, key)
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return error.message
    throw error
  }
}

function verifyEnvelope(content: Uint8Array, key: PublicKey): readonly string[] | string {
  const what = 'the bundle'
  const bundle = asObject(parseStrictJson(content, what), what)
  refuseLookalikes(bundle, new Set(['dsseEnvelope']), what)
  const envelope = asObject(bundle['dsseEnvelope'], `${what}.dsseEnvelope`)
  refuseLookalikes(envelope, ENVELOPE_MEMBERS, `${what}.dsseEnvelope`)
  if (envelope['payloadType'] !== PAYLOAD_TYPE) return `${what} is not about an in-toto statement`
  const payload = decodeBase64(asString(envelope['payload'], `${what}.payload`))
  const signatures = asArray(envelope['signatures'], `${what}.signatures`)
  const first = asObject(signatures[0], `${what}.signatures[0]`)
  const signature = decodeBase64(asString(first['sig'], `${what}.signatures[0].sig`))
  if (!payload || !signature || signatures.length !== 1) return `${what} has a malformed envelope`
  const message = preAuthEncoding(payload)
  const isSigned = key.algorithms.some((algorithm) => key.verify(algorithm, message, signature))
  return isSigned ? subjectsOf(payload) : `${what} was not signed with this key`
}

function subjectsOf(payload: Uint8Array): readonly string[] | string {
  const what = 'the statement'
  const statement = asObject(parseStrictJson(payload, what), what)
  refuseLookalikes(statement, STATEMENT_MEMBERS, what)
  if (statement['_type'] !== STATEMENT) return `${what} is of an unknown type`
  if (statement['predicateType'] !== SIGN_PREDICATE) return `${what} is no signature of an image`
  return asArray(statement['subject'], `${what}.subject`).flatMap((subject, i) => {
    const path = `${what}.subject[${i}]`
    const digests = asObject(asObject(subject, path)['digest'], `${path}.digest`)
    return Object.entries(digests).map(([algorithm, hex]) => `${algorithm}:${String(hex)}`)
  })
}
