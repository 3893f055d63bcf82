import {
  asObject,
  asString,
  isS3loError,
  optional,
  parseStrictJson,
  refuseLookalikes,
} from '@s3lo/core/plugin'
import type { StoreReference } from '@s3lo/core'
import { decodeBase64, encodeBase64 } from './base64.ts'
import type { SignatureAlgorithm } from './keys/algorithm.ts'

/** 2 is bound to bucket, image and tag; 1, of older versions, to the content alone. */
export type RecordSchema = 1 | 2

/** The label of a key that the Go program has no name for. */
export type AlgorithmLabel = SignatureAlgorithm | 'UNKNOWN'

/** The signature object of a tag. Only what the payload covers is authenticated: digest, and in schema 2 the place. */
export interface SignatureRecord {
  readonly schemaVersion: RecordSchema
  readonly digest: string
  /** The key's reference as its user typed it; anybody can change it. */
  readonly keyRef: string
  readonly keyID: string
  readonly algorithm: AlgorithmLabel
  readonly signature: Uint8Array
  /** RFC 3339, UTC, seconds; anybody can change it. */
  readonly signedAt: string
}

const MEMBERS = new Set(
  'schemaVersion digest keyRef keyID algorithm signature payload signedAt'.split(' '),
)

/** The longest signature that any key makes is RSA's, one of 8192 bits (bytes). */
const MAX_SIGNATURE = 1024

const ALGORITHM_LABELS: ReadonlySet<string> = new Set<AlgorithmLabel>([
  ...(['ECDSA', 'RSA_PKCS1', 'RSA_PSS'] as const).flatMap((family) =>
    (['SHA_256', 'SHA_384', 'SHA_512'] as const).map((hash) => `${family}_${hash}` as const),
  ),
  'ED25519',
  'UNKNOWN',
])

/** The bytes that a record's signature is of. */
export function recordPayload(
  schema: RecordSchema,
  reference: StoreReference,
  digest: string,
): Uint8Array {
  const text =
    schema === 1 ? `${digest}\n` : `s3lo-signature-v2\n${formatPlace(reference)}\n${digest}\n`
  return Buffer.from(text)
}

/** Where an image is, as schema 2 has it: the bucket as it was typed, and no tag beside a digest. */
export function formatPlace({ bucket, name, tag = '' }: StoreReference): string {
  return `${bucket}/${name}:${tag}`
}

/** The bytes of a record, as the Go program writes it. */
export function formatRecord(record: SignatureRecord, payload: Uint8Array): Uint8Array {
  const { schemaVersion, digest, keyRef, keyID, algorithm, signature, signedAt } = record
  const document = {
    schemaVersion,
    digest,
    keyRef,
    keyID,
    algorithm,
    signature: encodeBase64(signature),
    ...(schemaVersion === 1 ? { payload: encodeBase64(payload) } : {}),
    signedAt,
  }
  return Buffer.from(JSON.stringify(document))
}

/** Reads a record, which anybody may have written: what is wrong with it is a text, not an error. */
export function parseRecord(content: Uint8Array): SignatureRecord | string {
  try {
    return asRecord(content)
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return error.message
    throw error
  }
}

function asRecord(content: Uint8Array): SignatureRecord | string {
  const what = 'the signature record'
  const record = asObject(parseStrictJson(content, what), what)
  refuseLookalikes(record, MEMBERS, what)
  const schemaVersion = record['schemaVersion']
  if (schemaVersion !== 1 && schemaVersion !== 2) return `${what} has an unknown schema version`
  const algorithm = asString(record['algorithm'], `${what}.algorithm`)
  if (!isLabel(algorithm)) return `${what} names an unknown algorithm`
  const signature = decodeBase64(asString(record['signature'], `${what}.signature`))
  if (!signature || signature.byteLength === 0 || signature.byteLength > MAX_SIGNATURE) {
    return `${what} has a malformed signature`
  }
  const digest = asString(record['digest'], `${what}.digest`)
  const payload = optional(record, 'payload', what, asString)
  if (
    schemaVersion === 1 &&
    payload !== undefined &&
    payload !== encodeBase64(Buffer.from(`${digest}\n`))
  ) {
    return `${what} has a payload that is not that of its digest`
  }
  return {
    schemaVersion,
    digest,
    keyRef: asString(record['keyRef'], `${what}.keyRef`),
    keyID: asString(record['keyID'], `${what}.keyID`),
    algorithm,
    signature,
    signedAt: asString(record['signedAt'], `${what}.signedAt`),
  }
}

function isLabel(text: string): text is AlgorithmLabel {
  return ALGORITHM_LABELS.has(text)
}
