import {
  type PolicyCheckOptions,
  type PolicyRule,
  type PolicySubject,
  type PolicyVerdict,
  S3loError,
  type SourceSubject,
} from '@s3lo/core/plugin'
import { findSourceSignatures } from './cosign/read-signatures.ts'
import { openPublicKey } from './keys/open-key.ts'
import type { PublicKey } from './keys/public-key.ts'
import { verifyContent } from './verify.ts'

/**
 * Passes when the key `key_ref` signed the image as it is asked about. `allow_cosign: true` and
 * `allow_schema_1: true` accept what holds wherever the image is, as the options of `verify` do.
 */
export async function checkPolicy(
  rule: PolicyRule,
  { reference, source, root }: PolicySubject,
  options: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  const { keyRef, key } = await openKey(rule, options)
  const { parameters = {} } = rule
  const given = {
    keyRef,
    allowCosign: isTrue(rule.name, 'allow_cosign', parameters),
    allowSchema1: isTrue(rule.name, 'allow_schema_1', parameters),
    signal: options.signal,
  }
  const { verified, reason } = await verifyContent(source, reference, root.content, key, given)
  return { passed: verified, ...(reason === undefined ? {} : { message: reason }) }
}

/** Passes when the key signed the image in one of cosign's formats: there are no others outside of stores. */
export async function checkSource(
  rule: PolicyRule,
  { reference, source, root }: SourceSubject,
  options: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  const { keyRef, key } = await openKey(rule, options)
  const { signal } = options
  const { descriptor } = root
  const found = await findSourceSignatures(source, reference.name, descriptor, key, { signal })
  if (found.valid.length > 0) return { passed: true }
  const none = `there is no signature of the key ${keyRef} in ${source.name}`
  return { passed: false, message: [...new Set(found.problems)].join('; ') || none }
}

async function openKey(
  { name, keyRef }: PolicyRule,
  { env, signal }: PolicyCheckOptions,
): Promise<{ readonly keyRef: string; readonly key: PublicKey }> {
  if (!keyRef) {
    throw new S3loError('USAGE', `policy ${name} says no key_ref`, {
      hint: 'for example key_ref: cosign.pub',
    })
  }
  return { keyRef, key: await openPublicKey(keyRef, { env, signal }) }
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
