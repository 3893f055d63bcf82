import {
  argument,
  defineCommand,
  escapeText,
  flag,
  option,
  requiredOption,
  S3loError,
  type SignResult,
} from '@s3lo/core/plugin'
import { askPassword } from './key-password.ts'

export default defineCommand({
  examples: [
    ['Sign with a key file', 's3lo sign s3://my-bucket/app:v1 --key cosign.key'],
    [
      'Sign with a key that stays in AWS KMS',
      's3lo sign s3://my-bucket/app:v1 --key awskms:///alias/release',
    ],
    [
      'Sign for verifiers of older versions',
      's3lo sign s3://my-bucket/app:v1 --key cosign.key --schema 1',
    ],
  ],
  parameters: {
    reference: argument('ref'),
    key: requiredOption(
      '--key',
      'sign with `KEY`: a file, env://NAME, or of awskms://, azurekms://, gcpkms://, hashivault://',
    ),
    schema: option(
      '--schema',
      'write a record of schema `N`: 2 or 1 (2, the default, is bound to bucket, image and tag)',
    ),
    recordOnly: flag('--record-only', "write no signature in cosign's formats beside the record"),
  },
  async run(work) {
    const { args, host, options } = work
    const { reference, key, recordOnly } = args
    const schema = parseSchema(args.schema)
    const password = (what: string): Promise<string> => askPassword(what, work)
    const result = await host.sign(reference, { ...options, key, schema, recordOnly, password })
    return { result, render: () => render(result) }
  },
})

function parseSchema(text: string | undefined): 1 | 2 | undefined {
  if (text === undefined) return undefined
  if (text === '2') return 2
  if (text === '1') return 1
  throw new S3loError('USAGE', `--schema ${JSON.stringify(text)} is neither 1 nor 2`)
}

function render({ ref, digest, keyRef, keyID, signedAt, storedPath }: SignResult): string {
  const lines = [
    `Signed ${ref}`,
    `  Digest: ${digest}`,
    `  Key:    ${keyRef}`,
    `  Key ID: ${keyID}`,
    `  Signed: ${signedAt}`,
    `  Stored: ${storedPath}`,
  ]
  return `${lines.map(escapeText).join('\n')}\n`
}
