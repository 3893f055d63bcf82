import {
  type DigestAlgorithm,
  digestOf,
  formatReference,
  type ImageStore,
  MEDIA_TYPE,
  parseDigest,
  readSignatureRecord,
  readTagContent,
  type StoreReference,
} from '@s3lo/core'
import type { CallOptions, StoreSource, VerifyResult } from '@s3lo/core/plugin'
import { type CosignSignature, findCosignSignatures } from './cosign/read-signatures.ts'
import { judgeRecord, type RecordVerdict } from './judge-record.ts'
import type { PublicKey } from './keys/public-key.ts'
import { problemOf } from './problem-of.ts'
import { formatPlace, type SignatureRecord } from './record.ts'

export interface VerifyOptions extends CallOptions {
  /** How the key was named, for the result (default: empty). */
  readonly keyRef?: string | undefined
  /** Accept records of schema 1, which hold for the content wherever it is. */
  readonly allowSchema1?: boolean | undefined
  /** Accept signatures in cosign's formats, which hold for the content wherever it is. */
  readonly allowCosign?: boolean | undefined
  /** Only what the key signed after this moment, by a timestamp that its signature covers. */
  readonly signedAfter?: Date | undefined
}

/** The part of a result that is about the signature. */
type Verdict = Pick<
  VerifyResult,
  'verified' | 'reason' | 'hint' | 'signedAt' | 'form' | 'schemaVersion' | 'unauthenticated'
>

/**
 * Tells whether the key signed the manifest that the reference names now. A fault of the
 * manifest or a signature is a verdict. Throws `NOT_FOUND` when there is no such image, and what
 * the store throws when it cannot be asked.
 */
export async function verifyImage(
  store: ImageStore,
  reference: StoreReference,
  key: PublicKey,
  options: VerifyOptions = {},
): Promise<VerifyResult> {
  const content = await readContent(store, reference, { signal: options.signal })
  return verifyContent(store, reference, content, key, options)
}

/** As {@link verifyImage}, of a manifest that is at hand; a text says why there is none to judge. */
export async function verifyContent(
  store: StoreSource,
  reference: StoreReference,
  content: Uint8Array | string,
  key: PublicKey,
  options: VerifyOptions = {},
): Promise<VerifyResult> {
  const digest = typeof content === 'string' ? '' : digestOf(content, algorithmOf(reference))
  const verdict =
    typeof content === 'string'
      ? refuse(content)
      : await judge(store, { reference, digest, content, key }, options)
  const { verified, ...rest } = verdict
  const { keyRef = '' } = options
  return { ref: formatReference(reference), verified, digest, keyRef, keyID: key.id, ...rest }
}

/** A digest in the reference names the content by its algorithm, as `sign` does. */
function algorithmOf({ digest }: StoreReference): DigestAlgorithm | undefined {
  return digest === undefined ? undefined : parseDigest(digest).algorithm
}

/** The very bytes that are there, a manifest or not; a text says why there are none to judge. */
async function readContent(
  store: ImageStore,
  reference: StoreReference,
  options: CallOptions,
): Promise<Uint8Array | string> {
  try {
    const tag =
      reference.digest === undefined
        ? await readTagContent(store.backend, reference, options)
        : undefined
    return (tag ?? (await store.read(reference, options))).content
  } catch (error) {
    return problemOf(error)
  }
}

interface Subject {
  readonly reference: StoreReference
  readonly digest: string
  readonly content: Uint8Array
  readonly key: PublicKey
}

async function judge(
  store: StoreSource,
  subject: Subject,
  options: VerifyOptions,
): Promise<Verdict> {
  const { allowCosign = false, signedAfter, signal } = options
  const record = await readRecord(store, subject, options)
  const isValid = record.kind === 'valid'
  if (isValid && signedAfter === undefined) return accept(record.record)
  if (!isValid && !allowCosign) return refuse(record.reason, record.hint)

  const { reference, digest, content, key } = subject
  const descriptor = { mediaType: MEDIA_TYPE.ociManifest, digest, size: content.byteLength }
  const found = await findCosignSignatures(store, reference.name, descriptor, key, { signal })
  const { valid, problems } = found
  const place = formatPlace(reference)
  // Beside a record the place was checked already; a payload that names another one is a copy.
  const fitting = valid.filter((each) => allowCosign || each.place === place)
  const [signature] = signedAfter ? fitting.filter((each) => isAfter(each, signedAfter)) : fitting
  if (signature) return isValid ? accept(record.record, signature) : acceptCosign(signature)
  if (fitting.length > 0 && signedAfter) return refuse(...notAfter(fitting, signedAfter))
  const reasons = record.kind === 'invalid' ? [record.reason, ...problems] : problems
  return refuse(
    signedAfter && isValid
      ? 'there is no signature of this place whose time is covered by it'
      : [...new Set(reasons)].join('; '),
  )
}

async function readRecord(
  store: StoreSource,
  { reference, digest, key }: Subject,
  { keyRef = key.id, allowSchema1 = false, signal }: VerifyOptions,
): Promise<RecordVerdict> {
  try {
    const content = await readSignatureRecord(store.backend, reference, key.id, { signal })
    if (content) return judgeRecord(content, { reference, digest, key, allowSchema1 })
  } catch (error) {
    return { kind: 'invalid', reason: problemOf(error) }
  }
  return {
    kind: 'invalid',
    reason: `there is no signature of the key ${keyRef} at this tag`,
    hint: 's3lo sign makes one; one that cosign made is accepted with --allow-cosign',
  }
}

function refuse(reason: string, hint?: string): Verdict {
  return { verified: false, reason, ...(hint === undefined ? {} : { hint }) }
}

/** `dated` is the signature that says when, where a record alone was not enough. */
function accept(record: SignatureRecord, dated?: CosignSignature): Verdict {
  const { keyRef, signedAt, schemaVersion } = record
  return {
    verified: true,
    signedAt: dated?.signedAt ? formatTime(dated.signedAt) : signedAt,
    form: 'record',
    schemaVersion,
    unauthenticated: { keyRef, signedAt },
  }
}

function acceptCosign({ form, signedAt }: CosignSignature): Verdict {
  return { verified: true, ...(signedAt ? { signedAt: formatTime(signedAt) } : {}), form }
}

function isAfter({ signedAt }: CosignSignature, moment: Date): boolean {
  return signedAt !== undefined && signedAt > moment
}

function notAfter(signatures: readonly CosignSignature[], moment: Date): [reason: string] {
  const times = signatures.flatMap(({ signedAt }) => (signedAt ? [signedAt.getTime()] : []))
  if (times.length === 0) return ['no signature says when it was made']
  const newest = formatTime(new Date(Math.max(...times)))
  return [`the newest signature is of ${newest}, not after ${formatTime(moment)}`]
}

function formatTime(time: Date): string {
  return time.toISOString().replace('.000Z', 'Z')
}
