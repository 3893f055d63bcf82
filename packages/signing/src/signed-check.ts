import { ImageStore, parseReference } from '@s3lo/core'
import {
  type PolicyCheckOptions,
  type PolicyRule,
  type PolicySubject,
  type PolicyVerdict,
  S3loError,
} from '@s3lo/core/plugin'
import { openPublicKey } from './keys/open-key.ts'
import { verifyImage } from './verify.ts'

/**
 * Passes when the key `key_ref` signed the image as it is asked about. `allow_cosign: true` and
 * `allow_schema_1: true` accept what holds wherever the image is, as the options of `verify` do.
 */
export async function checkPolicy(
  { name, keyRef, parameters = {} }: PolicyRule,
  { name: reference, backend, root }: PolicySubject,
  { env, signal }: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  if (!keyRef) {
    throw new S3loError('USAGE', `policy ${name} says no key_ref`, {
      hint: 'for example key_ref: cosign.pub',
    })
  }
  const key = await openPublicKey(keyRef, { env, signal })
  const { verified, reason } = await verifyImage(
    new ImageStore(backend),
    parseReference(reference),
    key,
    {
      keyRef,
      content: root.content,
      allowCosign: isTrue(name, 'allow_cosign', parameters),
      allowSchema1: isTrue(name, 'allow_schema_1', parameters),
      signal,
    },
  )
  return { passed: verified, ...(reason === undefined ? {} : { message: reason }) }
}

/** Throws `USAGE` for what is neither: a typo must not be read as anything. */
function isTrue(
  policy: string,
  parameter: string,
  parameters: Readonly<Record<string, string>>,
): boolean {
  const text = parameters[parameter] ?? 'false'
  if (text === 'true' || text === 'false') return text === 'true'
  throw new S3loError('USAGE', `policy ${policy}: ${parameter} is neither true nor false`)
}
