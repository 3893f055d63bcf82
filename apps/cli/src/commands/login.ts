import type { Readable } from 'node:stream'
import {
  argument,
  type CommandOutput,
  defineCommand,
  flag,
  type LoginResult,
  option,
  type RegistryCredential,
  S3loError,
} from '@s3lo/core/plugin'
import { promptLine, readPassword, type Terminal } from '../read-password.ts'

export default defineCommand({
  examples: [
    [
      'Log in to the registry of GitHub with an access token in a file',
      's3lo login ghcr.io -u octocat --password-stdin < token.txt',
    ],
    ['Log in to Docker Hub and type name and password', 's3lo login docker.io'],
    ['Log in to a registry on this machine', 's3lo login localhost:5000'],
  ],
  parameters: {
    registry: argument('registry'),
    username: option('-u,--username', 'log in as `NAME`'),
    passwordStdin: flag('--password-stdin', 'read the password from standard input'),
    password: { ...option('-p,--password', ''), isHidden: true },
  },
  async run({ args, host, options: { signal }, stdin, stderr }) {
    const { registry, username, passwordStdin, password } = args
    if (password !== undefined) throw isVisible(registry, username)
    const log = async (credential: RegistryCredential): Promise<CommandOutput> => {
      const result = await host.login(registry, credential, { signal })
      return { result, render: () => '', status: linesOf(result) }
    }
    if (passwordStdin) {
      if (username === undefined) throw needsName(registry)
      return log({ username, password: await readPassword(stdin) })
    }
    if (!isTerminal(stdin)) throw needsTerminal(registry, username)
    const ask = { input: stdin, output: stderr, signal }
    const name = username ?? (await promptLine('Username: ', { ...ask, echo: true }))
    return log({
      username: name,
      password: await promptLine('Password: ', { ...ask, echo: false }),
    })
  },
})

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
