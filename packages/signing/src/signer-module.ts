import { ImageStore } from '@s3lo/core'
import type { SignerModule } from '@s3lo/core/plugin'
import { openPublicKey, openSigner } from './keys/open-key.ts'
import { signImage } from './sign.ts'
import { verifyImage } from './verify.ts'

/** See `SignerModule.sign`. */
export const sign: SignerModule['sign'] = async ({ backend, reference }, options) => {
  const { key, schema, recordOnly = false, signal } = options
  const signer = await openSigner(key, options)
  const forms = recordOnly ? 'record' : 'all'
  return signImage(new ImageStore(backend), reference, signer, {
    keyRef: key,
    schema,
    forms,
    signal,
  })
}

/** See `SignerModule.verify`. */
export const verify: SignerModule['verify'] = async ({ backend, reference }, options) => {
  const { key: keyRef, allowSchema1, allowCosign, signedAfter, signal } = options
  const key = await openPublicKey(keyRef, options)
  const given = { keyRef, allowSchema1, allowCosign, signedAfter, signal }
  return verifyImage(new ImageStore(backend), reference, key, given)
}
