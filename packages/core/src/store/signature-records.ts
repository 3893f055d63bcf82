import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { signatureKey, signaturesPrefix } from '../layout/keys.ts'
import { signerOf } from '../layout/parse-key.ts'
import { asObject, asString, parseStrictJson } from '../oci/json.ts'
import type { Reference } from '../oci/reference.ts'
import { provenGuarantees } from './guarantees.ts'
import { orImageFault } from './image-fault.ts'
import { readObject } from './read-object.ts'

/** What a signature record says of itself; none of it is proven by being there. */
export interface SignatureInfo {
  readonly key_ref: string
  readonly key_id: string
  readonly signed_at: string
}

/** What is larger is no record (bytes). */
export const MAX_RECORD_BYTES = 256 * 1024

/** The keys of a tag's signature records; files of an image that is named like their folder are not among them. */
export async function* signatureKeys(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): AsyncGenerator<string> {
  for await (const { key } of listRecords(backend, reference, options)) yield key
}

async function* listRecords(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): AsyncGenerator<ObjectInfo> {
  const name = { image: reference.name, tag: reference.tag ?? reference.digest ?? '' }
  for await (const info of backend.list(signaturesPrefix(reference), options)) {
    if (signerOf(info.key, name) !== undefined) yield info
  }
}

/** The tag's records, unverified; an object that is too large for one, or unreadable, is passed over. */
async function* readRecords(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): AsyncGenerator<{ readonly key: string; readonly content: Uint8Array }> {
  for await (const { key, size } of listRecords(backend, reference, options)) {
    if (size > MAX_RECORD_BYTES) continue
    const content = await orImageFault(() => readObject(backend, key, MAX_RECORD_BYTES, options))
    if (content && !isS3loError(content)) yield { key, content }
  }
}

/**
 * The bytes of a key's signature record, unverified; `undefined` when there is none. Throws
 * `INTEGRITY` for one that is too large.
 */
export async function readSignatureRecord(
  backend: StorageBackend,
  reference: Reference,
  keyId: string,
  options?: CallOptions,
): Promise<Uint8Array | undefined> {
  return readObject(backend, signatureKey(reference, keyId), MAX_RECORD_BYTES, options)
}

/** Writes a key's signature record in place of the one it had; returns the key of the object. */
export async function writeSignatureRecord(
  backend: StorageBackend,
  reference: Reference,
  keyId: string,
  record: Uint8Array,
  options?: CallOptions,
): Promise<string> {
  const key = signatureKey(reference, keyId)
  await backend.put(key, record, { ...options, mediaType: 'application/json' })
  return key
}

/** What the tag's signature records say of themselves; one that cannot be read is passed over. */
export async function readSignatures(
  backend: StorageBackend,
  reference: Reference,
  options?: CallOptions,
): Promise<readonly SignatureInfo[]> {
  const signatures: SignatureInfo[] = []
  for await (const { key, content } of readRecords(backend, reference, options)) {
    const info = parseSignatureInfo(content, key)
    if (info) signatures.push(info)
  }
  return signatures
}

/** What a record says of itself; `undefined` for what is none. */
export function parseSignatureInfo(content: Uint8Array, key: string): SignatureInfo | undefined {
  try {
    const record = asObject(parseStrictJson(content, key), key)
    return {
      key_ref: asString(record['keyRef'], `${key}.keyRef`),
      key_id: asString(record['keyID'], `${key}.keyID`),
      signed_at: asString(record['signedAt'], `${key}.signedAt`),
    }
  } catch {
    return undefined // A record is anybody's to write: `verify` judges it, a listing leaves it out.
  }
}

/**
 * Copies a tag's signature records to the same tag of another store, without what is too large for
 * one; with `keep`, no record is replaced. Returns how many.
 */
export async function copySignatures(
  source: StorageBackend,
  target: StorageBackend,
  reference: Reference,
  { keep = false, ...options }: CallOptions & { readonly keep?: boolean } = {},
): Promise<number> {
  let copied = 0
  const isGuarded = keep && (await provenGuarantees(target, options)).createOnly
  const condition = isGuarded ? ({ kind: 'absent' } as const) : undefined
  for await (const { key, content } of readRecords(source, reference, options)) {
    if (keep && (await target.head(key, options))) continue
    try {
      await target.put(key, content, { ...options, condition, mediaType: 'application/json' })
      copied++
    } catch (error) {
      if (!keep || !isS3loError(error, 'CONFLICT')) throw error
    }
  }
  return copied
}
