import type { Readable } from 'node:stream'
import type { Host, OperationOptions } from '@s3lo/core'
import { type LoginResult, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { promptLine, readPassword, type Terminal } from '../read-password.ts'

export default class LoginCommand extends S3loCommand {
  static override readonly paths = [['login']]
  static override readonly usage = Command.Usage({
    examples: [
      [
        'Log in to the registry of GitHub with an access token in a file',
        's3lo login ghcr.io -u octocat --password-stdin < token.txt',
      ],
      ['Log in to Docker Hub and type name and password', 's3lo login docker.io'],
      ['Log in to a registry on this machine', 's3lo login localhost:5000'],
    ],
  })

  registry = Option.String({ name: 'registry' })
  username = Option.String('-u,--username', { description: 'log in as `NAME`' })
  passwordStdin = Option.Boolean('--password-stdin', false, {
    description: 'read the password from standard input',
  })
  password = Option.String('-p,--password', { hidden: true })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const credential = await this.#credential(signal)
    const result = await host.login(this.registry, credential, { signal })
    return { result, render: () => '', status: linesOf(result) }
  }

  async #credential(signal: AbortSignal | undefined) {
    if (this.password !== undefined) throw isVisible(this.registry, this.username)
    const { stdin, stderr } = this.context
    if (this.passwordStdin) {
      if (this.username === undefined) throw needsName(this.registry)
      return { username: this.username, password: await readPassword(stdin) }
    }
    if (!isTerminal(stdin)) throw needsTerminal(this.registry, this.username)
    const ask = { input: stdin, output: stderr, signal }
    const username = this.username ?? (await promptLine('Username: ', { ...ask, echo: true }))
    return { username, password: await promptLine('Password: ', { ...ask, echo: false }) }
  }
}

function linesOf({ host, username, keptIn, isPlain, isChecked }: LoginResult): readonly string[] {
  const lines = [`Logged in to ${host} as ${username}.`]
  if (isPlain) {
    lines.push(`note: ${keptIn} holds the password unencrypted; a credential helper would not`)
  }
  if (!isChecked) {
    lines.push(`note: ${host} asked for no password, so nothing says whether it is right`)
  }
  return lines
}

function isTerminal(stream: Readable): stream is Terminal {
  return 'isTTY' in stream && stream.isTTY === true && 'setRawMode' in stream
}

function isVisible(registry: string, username = 'NAME'): S3loError {
  return new S3loError('USAGE', 'a password on a command line can be read by others', {
    hint: `s3lo login ${registry} -u ${username} --password-stdin < FILE`,
  })
}

function needsName(registry: string): S3loError {
  return new S3loError('USAGE', '--password-stdin needs a user name', {
    hint: `s3lo login ${registry} -u NAME --password-stdin`,
  })
}

function needsTerminal(registry: string, username = 'NAME'): S3loError {
  return new S3loError('USAGE', 'standard input is no terminal to type a password on', {
    hint: `s3lo login ${registry} -u ${username} --password-stdin < FILE`,
  })
}
