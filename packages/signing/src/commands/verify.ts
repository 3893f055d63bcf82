import {
  argument,
  type CommandOutput,
  defineCommand,
  escapeText,
  flag,
  option,
  requiredOption,
  S3loError,
  type VerifyResult,
} from '@s3lo/core/plugin'
import { askPassword } from './key-password.ts'

export default defineCommand({
  examples: [
    ['Verify with a public key', 's3lo verify s3://my-bucket/app:v1 --key cosign.pub'],
    [
      'Accept what cosign signed in a registry',
      's3lo verify s3://my-bucket/app:v1 --key cosign.pub --allow-cosign',
    ],
    [
      'Refuse older signatures',
      's3lo verify s3://my-bucket/app:v1 --key cosign.pub --signed-after 2026-01-31T00:00:00Z',
    ],
  ],
  parameters: {
    reference: argument('ref'),
    key: requiredOption(
      '--key',
      'the public key, as a `KEY`: a PEM file, a certificate, or what sign takes',
    ),
    allowSchema1: flag(
      '--allow-schema-1',
      'accept records of schema 1, which hold wherever the image is copied',
    ),
    allowCosign: flag(
      '--allow-cosign',
      "accept signatures in cosign's formats, which hold wherever the image is copied",
    ),
    signedAfter: option(
      '--signed-after',
      'accept only signatures made after `TIME`, such as 2026-01-31T00:00:00Z',
    ),
  },
  async run(work) {
    const { args, host, options } = work
    const { reference, ...choices } = args
    const signedAfter = parseTime(args.signedAfter)
    const password = (what: string): Promise<string> => askPassword(what, work)
    return toOutput(await host.verify(reference, { ...options, ...choices, signedAfter, password }))
  },
})

/** RFC 3339, with a zone: a time without one would be another moment elsewhere. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/

function parseTime(text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(TIME.test(text) ? text : Number.NaN)
  if (!Number.isNaN(time.getTime())) return time
  throw new S3loError('USAGE', `--signed-after ${JSON.stringify(text)} is not a time`, {
    hint: 'for example 2026-01-31T00:00:00Z',
  })
}

function toOutput(result: VerifyResult): CommandOutput {
  const { ref, digest, reason, hint } = result
  if (result.verified) return { result, render: () => render(result) }
  return {
    result,
    render: () => '',
    status: [
      `✗ Verification FAILED for ${ref}`,
      `  ${reason ?? 'not valid'}`,
      ...(digest === '' ? [] : [`  Digest: ${digest}`]),
      ...(hint === undefined ? [] : [`hint: ${hint}`]),
    ],
    exitCode: 1,
  }
}

function render({ ref, digest, signedAt, keyRef, keyID, unauthenticated }: VerifyResult): string {
  const isClaim = signedAt !== undefined && signedAt === unauthenticated?.signedAt
  const lines = [
    `✓ Verified ${ref}`,
    `  Digest: ${digest}`,
    ...(signedAt === undefined ? [] : [`  Signed: ${signedAt}${isClaim ? CLAIM : ''}`]),
    `  Key:    ${keyRef} (${keyID})`,
    ...(unauthenticated ? [`  Signed with: ${unauthenticated.keyRef}${CLAIM}`] : []),
  ]
  // Anybody may have written what a record says: a terminal must not obey it.
  return `${lines.map(escapeText).join('\n')}\n`
}

const CLAIM = ' (unauthenticated: the record says so, and no signature covers it)'
