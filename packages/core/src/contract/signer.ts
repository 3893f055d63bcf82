import type { Reference } from '../oci/reference.ts'
import type { CallOptions } from './call-options.ts'
import type { StorageBackend, StoreLocation } from './storage-backend.ts'

/** A key, and how it is opened. */
export interface KeyChoice extends CallOptions {
  /** A file, `env://NAME`, or a key of a service such as `awskms:///alias/release`. */
  readonly key: string
  /** Asked for the password of an encrypted key; default: the environment's, else an empty one. */
  readonly password?: ((what: string) => Promise<string>) | undefined
}

export interface SignChoice extends KeyChoice {
  /** 2 (default) binds the record to bucket, image and tag; 1 is for verifiers of older versions. */
  readonly schema?: 1 | 2 | undefined
  /** Write nothing but the record: no signature in cosign's formats beside it. */
  readonly recordOnly?: boolean | undefined
}

export interface VerifyChoice extends KeyChoice {
  /** Accept records of schema 1, which hold for the content in any place. */
  readonly allowSchema1?: boolean | undefined
  /** Accept signatures in cosign's formats, which hold for the content in any place. */
  readonly allowCosign?: boolean | undefined
  /** Only what the key signed after this moment, by a timestamp that its signature covers. */
  readonly signedAfter?: Date | undefined
}

/** What was signed; field names are those of `--output json`. */
export interface SignResult {
  readonly ref: string
  readonly digest: string
  readonly keyID: string
  readonly keyRef: string
  readonly signedAt: string
  /** `<bucket>/<key of the record>`. */
  readonly storedPath: string
  readonly schemaVersion: 1 | 2
  readonly algorithm: string
  /** The digest of the signature that cosign 2 reads once the image is in a registry; it refers to the image. */
  readonly signature?: string
  /** The digest of the bundle that cosign 3 reads, which refers to the image. */
  readonly bundle?: string
}

/** Whether a signature is valid; field names are those of `--output json`. */
export interface VerifyResult {
  readonly ref: string
  readonly verified: boolean
  /** Why not. */
  readonly reason?: string
  readonly hint?: string
  /** Of the bytes that were read. */
  readonly digest: string
  /** The key that was asked for. */
  readonly keyRef: string
  readonly keyID: string
  /** When it was signed. For a record only a claim: see `unauthenticated`. */
  readonly signedAt?: string
  readonly form?: 'record' | 'bundle' | 'simple-signing'
  readonly schemaVersion?: 1 | 2
  /** What the record says and no signature covers: anybody may have changed it. */
  readonly unauthenticated?: { readonly keyRef: string; readonly signedAt: string }
}

/** An image whose store is open. */
export interface SignerSubject {
  readonly backend: StorageBackend
  readonly reference: Reference & StoreLocation
}

interface SignerEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>
}

/** What a signer contribution's `load()` gives. */
export interface SignerModule {
  /** Signs what a tag or digest names. Throws `NOT_FOUND`, and what the key throws. */
  sign(subject: SignerSubject, options: SignChoice & SignerEnvironment): Promise<SignResult>
  /**
   * Tells whether the key signed what the reference names now. A wrong manifest or signature is a
   * verdict. Throws `NOT_FOUND` for an image that does not exist.
   */
  verify(subject: SignerSubject, options: VerifyChoice & SignerEnvironment): Promise<VerifyResult>
}
