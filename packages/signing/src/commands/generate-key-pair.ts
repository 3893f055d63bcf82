import { open, rm } from 'node:fs/promises'
import { type CommandWork, defineCommand, escapeText, option, S3loError } from '@s3lo/core/plugin'
import { createKeyPair } from '../keys/key-pair.ts'
import { askPassword, isTerminal } from './key-password.ts'

/** What was written; field names are those of `--output json`. */
interface GeneratedKeyPair {
  readonly privateKey: string
  readonly publicKey: string
  readonly keyID: string
}

export default defineCommand({
  examples: [
    ['Make cosign.key and cosign.pub', 's3lo generate-key-pair'],
    ['Make release.key and release.pub', 's3lo generate-key-pair --output-key-prefix release'],
  ],
  parameters: {
    prefix: option('--output-key-prefix', 'write `PREFIX`.key and PREFIX.pub (default cosign)'),
  },
  async run(work) {
    const { prefix = 'cosign' } = work.args
    const privateKey = `${prefix}.key`
    const publicKey = `${prefix}.pub`
    const pair = await createKeyPair(await passwordFor(privateKey, work))
    await create(privateKey, pair.privateKey, 0o600)
    try {
      await create(publicKey, pair.publicKey, 0o644)
    } catch (error) {
      await rm(privateKey) // Half a pair is worth nothing, and would be in the way of the next one.
      throw error
    }
    const result = { privateKey, publicKey, keyID: pair.keyId }
    return { result, render: () => render(result) }
  },
})

async function passwordFor(file: string, terminal: CommandWork): Promise<string> {
  const given = terminal.env['COSIGN_PASSWORD']
  if (given !== undefined) return given
  if (!isTerminal(terminal.stdin)) {
    throw new S3loError('USAGE', `there is no password for ${file}`, {
      hint: 'set COSIGN_PASSWORD, which may be empty, or run it on a terminal',
    })
  }
  const password = await askPassword(`Password of ${file}`, terminal)
  if (password === (await askPassword('The same again', terminal))) return password
  throw new S3loError('USAGE', 'the two passwords differ')
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
