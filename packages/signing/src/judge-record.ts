import { relative, resolve } from 'node:path'
import { formatReference, type StoreReference } from '@s3lo/core'
import type { SignatureAlgorithm } from './keys/algorithm.ts'
import type { PublicKey } from './keys/public-key.ts'
import { type AlgorithmLabel, parseRecord, recordPayload, type SignatureRecord } from './record.ts'

/** What a record is held against. */
export interface RecordSubject {
  readonly reference: StoreReference
  /** Of the bytes that were read. */
  readonly digest: string
  readonly key: PublicKey
  readonly allowSchema1: boolean
}

/** A valid record, or why it is none. */
export type RecordVerdict =
  | { readonly kind: 'valid'; readonly record: SignatureRecord }
  | { readonly kind: 'invalid'; readonly reason: string; readonly hint?: string }

/** Tells whether a record is a signature by the key of this content at this place. Never throws for what is in it. */
export function judgeRecord(content: Uint8Array, subject: RecordSubject): RecordVerdict {
  const record = parseRecord(content)
  if (typeof record === 'string') return { kind: 'invalid', reason: record }
  return (
    mismatch(record, subject) ??
    (isSigned(record, subject.reference, subject.key)
      ? { kind: 'valid', record }
      : otherPlace(record, subject))
  )
}

/** What can be told without looking at the signature. */
function mismatch(record: SignatureRecord, subject: RecordSubject): RecordVerdict | undefined {
  const { schemaVersion, digest, keyID, algorithm } = record
  const { key, allowSchema1 } = subject
  if (digest !== subject.digest) {
    const reason = `the manifest changed: signed was ${digest}, here is ${subject.digest}`
    return { kind: 'invalid', reason }
  }
  if (keyID !== key.id) {
    return { kind: 'invalid', reason: `the record is of the key ${keyID}, not of ${key.id}` }
  }
  if (algorithmsOf(algorithm, key).length === 0) {
    return { kind: 'invalid', reason: `the key cannot have signed with ${algorithm}` }
  }
  if (schemaVersion === 2 || allowSchema1) return undefined
  return {
    kind: 'invalid',
    reason: 'the record is of schema 1, which holds for the content wherever it was copied to',
    hint: 'sign again, or accept it with --allow-schema-1',
  }
}

/** A failed signature: for a local store, perhaps only the folder was written differently. */
function otherPlace(record: SignatureRecord, { reference, key }: RecordSubject): RecordVerdict {
  const reason = 'the signature is not one of this content at this place by this key'
  if (record.schemaVersion === 1 || reference.scheme !== 'local') return { kind: 'invalid', reason }
  for (const bucket of spellings(reference.bucket)) {
    const other = { ...reference, bucket }
    if (!isSigned(record, other, key)) continue
    const hint = `it was signed as ${formatReference(other)}: verify it under that name`
    return { kind: 'invalid', reason: 'the folder of the store was written differently', hint }
  }
  return { kind: 'invalid', reason }
}

/** Other ways to write a folder that people use. */
function spellings(bucket: string): readonly string[] {
  const absolute = resolve(bucket)
  const plain = relative('.', absolute)
  return [plain, `./${plain}`, absolute].filter((other) => other !== bucket)
}

function isSigned(record: SignatureRecord, reference: StoreReference, key: PublicKey): boolean {
  const { schemaVersion, digest, algorithm, signature } = record
  const payload = recordPayload(schemaVersion, reference, digest)
  return algorithmsOf(algorithm, key).some((each) => key.verify(each, payload, signature))
}

/**
 * What a record with the label may have been signed with. The Go program labels by the kind of the
 * key: every ECDSA signature as SHA-256, though it uses the hash of the curve, and Ed25519 as unknown.
 */
function algorithmsOf(
  label: AlgorithmLabel,
  { algorithms }: PublicKey,
): readonly SignatureAlgorithm[] {
  if (label === 'UNKNOWN') return algorithms.filter((algorithm) => algorithm === 'ED25519')
  if (label !== 'ECDSA_SHA_256') return algorithms.filter((algorithm) => algorithm === label)
  return algorithms.filter((algorithm) => algorithm.startsWith('ECDSA_'))
}
