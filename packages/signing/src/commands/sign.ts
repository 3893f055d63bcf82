import {
  type CommandContext,
  type CommandOutput,
  type CommandWork,
  parseExplicitReference,
} from '@s3lo/core'
import { escapeText, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { openSigner } from '../keys/open-key.ts'
import type { RecordSchema } from '../record.ts'
import { signImage, type SignResult } from '../sign.ts'
import { askPassword } from './key-password.ts'

export default class SignCommand extends Command<CommandContext> {
  static override readonly paths = [['sign']]
  static override readonly usage = Command.Usage({
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
  })

  reference = Option.String({ name: 'ref' })
  key = Option.String('--key', {
    description:
      'sign with `KEY`: a file, env://NAME, or of awskms://, azurekms://, gcpkms://, hashivault://',
    required: true,
  })
  schema = Option.String('--schema', {
    description:
      'write a record of schema `N`: 2 or 1 (2, the default, is bound to bucket, image and tag)',
  })
  recordOnly = Option.Boolean('--record-only', false, {
    description: "write no signature in cosign's formats beside the record",
  })

  override execute(): Promise<number> {
    return this.context.runCommand((work) => this.#run(work))
  }

  async #run({ host, options }: CommandWork): Promise<CommandOutput<SignResult>> {
    const reference = parseExplicitReference(await host.locate(this.reference, options))
    const schema = parseSchema(this.schema)
    const { signal } = options
    const { env } = this.context
    const password = (what: string): Promise<string> => askPassword(what, this.context)
    const signer = await openSigner(this.key, { env, password, signal })
    const store = await host.openStore(this.reference, { names: 'image', signal })
    try {
      const result = await signImage(store, reference, signer, {
        keyRef: this.key,
        schema,
        forms: this.recordOnly ? 'record' : 'all',
        signal,
      })
      return { result, render }
    } finally {
      await store.close()
    }
  }
}

function parseSchema(text: string | undefined): RecordSchema {
  if (text === undefined || text === '2') return 2
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
