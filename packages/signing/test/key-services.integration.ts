/** AWS's key service as moto has it (integration/start-moto.sh). */
import { CreateAliasCommand, CreateKeyCommand, type KeySpec, KMSClient } from '@aws-sdk/client-kms'
import { requiredVariables } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import { openPublicKey, openSigner, PublicKey, signImage, verifyImage } from '../src/index.ts'
import { referenceTo, storeWithImage } from './world.ts'

const hint = 'eval "$(integration/start-moto.sh)"'
const endpoint = requiredVariables('kms', ['S3LO_TEST_KMS'], hint)?.S3LO_TEST_KMS

describe.skipIf(endpoint === undefined)('a key in a service of AWS', () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a-secret' }
  const region = 'eu-central-1'
  const client = new KMSClient({ endpoint: endpoint ?? '', region, credentials })
  const env = {
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  }

  it.each([
    'ECC_NIST_P256',
    'ECC_NIST_P384',
    'ECC_NIST_P521',
    'RSA_2048',
  ] as const satisfies readonly KeySpec[])(
    'of the kind %s signs by alias, id and ARN, and its public key verifies',
    async (KeySpec) => {
      const made = await client.send(new CreateKeyCommand({ KeySpec, KeyUsage: 'SIGN_VERIFY' }))
      const { KeyId = '', Arn = '' } = made.KeyMetadata ?? {}
      const AliasName = `alias/s3lo-${KeyId}`
      await client.send(new CreateAliasCommand({ AliasName, TargetKeyId: KeyId }))
      for (const name of [AliasName, KeyId, Arn]) {
        const keyRef = `awskms:///${name}`
        const signer = await openSigner(keyRef, { env })
        const store = await storeWithImage()
        const { algorithm } = await signImage(store, referenceTo(), signer, { keyRef })
        const key = PublicKey.parse((await openPublicKey(keyRef, { env })).toPem(), keyRef)
        const options = { keyRef, signedAfter: new Date(0) }
        const result = await verifyImage(store, referenceTo(), key, options)
        expect(result, algorithm).toMatchObject({ verified: true })
      }
    },
  )

  it('that is not there, or cannot sign, is an error', async () => {
    await expect(openSigner('awskms:///alias/none', { env })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    const made = await client.send(new CreateKeyCommand({}))
    const keyRef = `awskms:///${made.KeyMetadata?.KeyId ?? ''}`
    await expect(openSigner(keyRef, { env })).rejects.toMatchObject({
      code: 'USAGE',
    })
  })
})
