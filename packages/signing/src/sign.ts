import {
  formatReference,
  type ImageStore,
  type StoreReference,
  writeSignatureRecord,
} from '@s3lo/core'
import type { CallOptions, SignResult } from '@s3lo/core/plugin'
import { S3loError } from '@s3lo/core/plugin'
import { type Signer, signChecked } from './keys/signer.ts'
import { writeBundle, writeSimpleSigning } from './cosign/write-signatures.ts'
import { formatPlace, formatRecord, recordPayload, type RecordSchema } from './record.ts'

export interface SignOptions extends CallOptions {
  /** How the key was named, for the record: never a secret (default: empty). */
  readonly keyRef?: string | undefined
  /** 2 (default) binds the record to bucket, image and tag; 1 is for verifiers of older versions. */
  readonly schema?: RecordSchema | undefined
  /** `record`: write nothing but the record; default `all`, with cosign's formats. */
  readonly forms?: 'all' | 'record' | undefined
  /** The clock that signatures are dated by. */
  readonly now?: (() => Date) | undefined
}

/**
 * Signs the manifest that a tag or digest names. The record is written last, so that an image that has one
 * has the other forms as well. Throws `NOT_FOUND`, and what the key throws.
 */
export async function signImage(
  store: ImageStore,
  reference: StoreReference,
  signer: Signer,
  options: SignOptions = {},
): Promise<SignResult> {
  const { keyRef = '', schema = 2, forms = 'all', now = () => new Date(), signal } = options
  const { descriptor } = await store.read(reference, { signal })
  const signedAt = new Date(Math.floor(now().getTime() / 1000) * 1000)
  const payload = recordPayload(schema, reference, descriptor.digest)
  const [algorithm] = signer.algorithms
  if (!algorithm) throw new S3loError('UNSUPPORTED', `the key ${keyRef} signs nothing known here`)
  const signature = await signChecked(signer, payload, algorithm, { signal })
  const place = formatPlace(reference)
  const subject = { image: reference.name, descriptor, place, signedAt }
  const attached =
    forms === 'record'
      ? {}
      : {
          bundle: await writeBundle(store, subject, signer, { signal }),
          signature: await writeSimpleSigning(store, subject, signer, { signal }),
        }
  const record = {
    schemaVersion: schema,
    digest: descriptor.digest,
    keyRef,
    keyID: signer.publicKey.id,
    // The Go program has no name for Ed25519; what verifies it here asks the key.
    algorithm: algorithm === 'ED25519' ? ('UNKNOWN' as const) : algorithm,
    signature,
    signedAt: signedAt.toISOString().replace('.000Z', 'Z'),
  }
  const content = formatRecord(record, payload)
  const key = await writeSignatureRecord(store.backend, reference, record.keyID, content, {
    signal,
  })
  return {
    ref: formatReference(reference),
    digest: record.digest,
    keyID: record.keyID,
    keyRef,
    signedAt: record.signedAt,
    storedPath: `${reference.bucket}/${key}`,
    schemaVersion: schema,
    algorithm,
    ...attached,
  }
}
