import { createPrivateKey, createSign, type KeyObject } from 'node:crypto'
import { type JsonObject, S3loError } from '@s3lo/core/plugin'

/** What signs URLs in the name of a service account. */
export interface Signer {
  /** Of the service account. */
  readonly email: string
  /** An RSA-SHA256 signature (RFC 8017, 8.2) of the text. */
  sign(text: string, signal: AbortSignal | undefined): Promise<Uint8Array>
}

/**
 * Signs with the key in a service account's credential file; `undefined` for another kind of file.
 * Throws `UNAUTHORIZED` for a key that is none.
 */
export function keySigner(file: JsonObject): Signer | undefined {
  const { type, client_email: email, private_key: key } = file
  if (type !== 'service_account') return undefined
  if (typeof email !== 'string' || typeof key !== 'string') throw damagedKey()
  const privateKey = parseKey(key)
  return {
    email,
    sign: async (text) => createSign('RSA-SHA256').update(text).sign(privateKey),
  }
}

function parseKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'rsa') return key
  } catch {
    // Without the cause: it could quote the key.
  }
  throw damagedKey()
}

function damagedKey(): S3loError {
  return new S3loError('UNAUTHORIZED', 'the key of the Google service account is damaged', {
    hint: 'download the key file again',
  })
}
