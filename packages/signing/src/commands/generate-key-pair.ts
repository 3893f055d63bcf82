import { open, rm } from 'node:fs/promises'
import type { CommandContext, CommandOutput } from '@s3lo/core'
import { escapeText, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { createKeyPair } from '../keys/key-pair.ts'
import { askPassword, isTerminal } from './key-password.ts'

/** What was written; field names are those of `--output json`. */
interface GeneratedKeyPair {
  readonly privateKey: string
  readonly publicKey: string
  readonly keyID: string
}

export default class GenerateKeyPairCommand extends Command<CommandContext> {
  static override readonly paths = [['generate-key-pair']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Make cosign.key and cosign.pub', 's3lo generate-key-pair'],
      ['Make release.key and release.pub', 's3lo generate-key-pair --output-key-prefix release'],
    ],
  })

  prefix = Option.String('--output-key-prefix', 'cosign', {
    description: 'write `PREFIX`.key and PREFIX.pub (default cosign)',
  })

  override execute(): Promise<number> {
    return this.context.runCommand(() => this.#run())
  }

  async #run(): Promise<CommandOutput<GeneratedKeyPair>> {
    const privateKey = `${this.prefix}.key`
    const publicKey = `${this.prefix}.pub`
    const pair = await createKeyPair(await this.#password(privateKey))
    await create(privateKey, pair.privateKey, 0o600)
    try {
      await create(publicKey, pair.publicKey, 0o644)
    } catch (error) {
      await rm(privateKey) // Half a pair is worth nothing, and would be in the way of the next one.
      throw error
    }
    const result = { privateKey, publicKey, keyID: pair.keyId }
    return { result, render }
  }

  async #password(file: string): Promise<string> {
    const { env, stdin } = this.context
    const given = env['COSIGN_PASSWORD']
    if (given !== undefined) return given
    if (!isTerminal(stdin)) {
      throw new S3loError('USAGE', `there is no password for ${file}`, {
        hint: 'set COSIGN_PASSWORD, which may be empty, or run it on a terminal',
      })
    }
    const password = await askPassword(`Password of ${file}`, this.context)
    if (password === (await askPassword('The same again', this.context))) return password
    throw new S3loError('USAGE', 'the two passwords differ')
  }
}

/** Never over a key that is there: what it signed could not be signed again. */
async function create(path: string, text: string, mode: number): Promise<void> {
  try {
    const file = await open(path, 'wx', mode)
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'EEXIST') {
      throw new S3loError('CONFLICT', `${path} exists already`, {
        hint: 'move it away, or choose another --output-key-prefix',
      })
    }
    throw new S3loError('IO', `${path} cannot be written`, { cause })
  }
}

function render({ privateKey, publicKey, keyID }: GeneratedKeyPair): string {
  const lines = [`Private key: ${privateKey}`, `Public key:  ${publicKey}`, `Key ID:      ${keyID}`]
  return `${lines.map(escapeText).join('\n')}\n`
}
