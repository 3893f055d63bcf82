import { ImageStore } from '@s3lo/core'
import type { SignerModule, SignerSubject } from '@s3lo/core/plugin'
import { openPublicKey, openSigner } from './keys/open-key.ts'
import { signImage } from './sign.ts'
import { verifyImage } from './verify.ts'

/** See `SignerModule.sign`. */
export const sign: SignerModule['sign'] = async (subject, options) => {
  const { key, schema, recordOnly = false, signal } = options
  const signer = await openSigner(key, options)
  const forms = recordOnly ? 'record' : 'all'
  const { store, reference } = openSubject(subject)
  return signImage(store, reference, signer, { keyRef: key, schema, forms, signal })
}

/** See `SignerModule.verify`. */
export const verify: SignerModule['verify'] = async (subject, options) => {
  const { key: keyRef, allowSchema1, allowCosign, signedAfter, signal } = options
  const key = await openPublicKey(keyRef, options)
  const { store, reference } = openSubject(subject)
  const given = { keyRef, allowSchema1, allowCosign, signedAfter, signal }
  return verifyImage(store, reference, key, given)
}

function openSubject({ backend, reference }: SignerSubject) {
  return { store: new ImageStore(backend), reference: { ...reference, image: reference.name } }
}
