import { PassThrough, Readable } from 'node:stream'
import { createHost, type HostOptions } from '@s3lo/core'
import {
  definePlugin,
  type LoginResult,
  type RegistryCredential,
  S3loError,
} from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { MemoryWorld, type RunOptions } from './run-cli.ts'

const RESULT: LoginResult = {
  host: 'ghcr.io',
  username: 'octocat',
  keptIn: 'docker-credential-test',
  isPlain: false,
  isChecked: true,
}

/** A host that takes every credential, and what it was given. */
function accepting(result: Partial<LoginResult> = {}) {
  const seen: (readonly [string, RegistryCredential])[] = []
  const host = {
    login: (registry: string, credential: RegistryCredential) => {
      seen.push([registry, credential])
      return Promise.resolve({ ...RESULT, ...result })
    },
  }
  return { seen, host }
}

const world = new MemoryWorld()
const typed = (text: string): Readable => Readable.from([Buffer.from(text)])

describe('s3lo login', () => {
  it('reads the password from standard input', async () => {
    const { seen, host } = accepting()
    const argv = ['login', 'ghcr.io', '-u', 'octocat', '--password-stdin']
    const { status, stdout, stderr } = await world.run(argv, { host, stdin: typed('s3cret\n') })
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: '',
      stderr: 'Logged in to ghcr.io as octocat.\n',
    })
    expect(seen).toEqual([['ghcr.io', { username: 'octocat', password: 's3cret' }]])
  })

  it('asks for name and password on a terminal, without showing the password', async () => {
    const { seen, host } = accepting()
    const lines = ['octocat\r', 's3cret\r']
    const stdin: PassThrough = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: (isRaw: boolean) => isRaw && stdin.write(lines.shift()),
    })
    const { status, stderr } = await world.run(['login', 'ghcr.io'], { host, stdin })
    expect(status).toBe(0)
    expect(stderr).toBe('Username: octocat\nPassword: \nLogged in to ghcr.io as octocat.\n')
    expect(seen).toEqual([['ghcr.io', { username: 'octocat', password: 's3cret' }]])
  })

  it('says where a password lies unencrypted, and when it was not checked', async () => {
    const { host } = accepting({ keptIn: '/home/config.json', isPlain: true, isChecked: false })
    const argv = ['login', 'ghcr.io', '-u', 'octocat', '--password-stdin']
    const { stderr } = await world.run(argv, { host, stdin: typed('s3cret') })
    expect(stderr).toMatch(/\nnote: \/home\/config.json holds the password unencrypted/)
    expect(stderr).toMatch(/\nnote: ghcr.io asked for no password/)
  })

  it('prints its result as a document, which has no password', async () => {
    const { host } = accepting()
    const argv = ['login', 'ghcr.io', '-u', 'octocat', '--password-stdin', '-o', 'json']
    const { stdout, stderr } = await world.run(argv, { host, stdin: typed('s3cret') })
    expect(JSON.parse(stdout)).toEqual(RESULT)
    expect(stderr).toBe('')
  })

  it.each([
    ['without a terminal', ['login', 'ghcr.io'], 's3lo login ghcr.io -u NAME --password-stdin'],
    [
      'with a password but no name',
      ['login', 'ghcr.io', '--password-stdin'],
      's3lo login ghcr.io -u NAME --password-stdin',
    ],
    [
      'with an empty password',
      ['login', 'ghcr.io', '-u', 'octocat', '--password-stdin'],
      'login HOST -u USER --password-stdin',
    ],
  ])('is refused %s, with what to type', async (_, argv, hint) => {
    const { status, stderr } = await world.run(argv, { host: accepting().host })
    expect(status).toBe(64)
    expect(stderr).toContain(hint)
  })

  it.each([['--password=hunter2'], ['--password', 'hunter2'], ['-p', 'hunter2']])(
    'takes no password on the command line, where others can read it: %s',
    async (...words) => {
      const argv = ['login', 'ghcr.io', '-u', 'octocat', ...words]
      const { status, stderr } = await world.run(argv, { host: accepting().host })
      expect(status).toBe(64)
      expect(stderr).toContain('--password-stdin < FILE')
      expect(stderr).not.toContain('hunter2')
    },
  )

  it('says in one line what a registry refuses', async () => {
    const host = {
      login: () =>
        Promise.reject(
          new S3loError('UNAUTHORIZED', 'the registry ghcr.io does not accept this', {
            hint: 'use an access token',
          }),
        ),
    }
    const argv = ['login', 'ghcr.io', '-u', 'octocat', '--password-stdin']
    const { status, stderr } = await world.run(argv, { host, stdin: typed('s3cret') })
    expect(status).toBe(77)
    expect(stderr).toBe(
      'error: the registry ghcr.io does not accept this\nhint: use an access token\n',
    )
  })
})

describe('s3lo logout', () => {
  const run = (
    removedFrom: readonly string[],
    remainingIn: readonly string[],
    ...more: string[]
  ) => {
    const result = { host: 'ghcr.io', removedFrom, remainingIn }
    const host: RunOptions['host'] = { logout: () => Promise.resolve(result) }
    return world.run(['logout', 'ghcr.io', ...more], { host })
  }

  it('says where credentials were, and where there still are some', async () => {
    const { status, stderr } = await run(['a.json', 'docker-credential-b'], ['c.json'])
    expect(status).toBe(0)
    expect(stderr).toBe(
      'Logged out of ghcr.io: removed from a.json and docker-credential-b.\n' +
        'note: c.json still has credentials for ghcr.io\n',
    )
  })

  it('is content when there were none', async () => {
    const { status, stderr } = await run([], [])
    expect({ status, stderr }).toEqual({ status: 0, stderr: 'Not logged in to ghcr.io.\n' })
  })

  it('prints its result as a document', async () => {
    const { stdout } = await run(['a.json'], [], '-o', 'json')
    expect(JSON.parse(stdout)).toEqual({
      host: 'ghcr.io',
      removedFrom: ['a.json'],
      remainingIn: [],
    })
  })
})

describe('the host', () => {
  const logins = (module: object, options: HostOptions = {}) =>
    createHost({
      ...options,
      plugins: [
        definePlugin({
          name: 'registries',
          apiVersion: 1,
          sources: { docker: { summary: 'registries', load: () => Promise.resolve(module) } },
        }),
      ],
    })

  it('gives the plugin of registries what it was made with', async () => {
    const host = logins(
      {
        login: (registry: string, credential: object, options: object) =>
          Promise.resolve({ registry, credential, options }),
        logout: () => Promise.resolve(undefined),
      },
      { env: { HOME: '/h' }, plainHttp: true, tlsCa: 'ca.pem' },
    )
    const credential = { username: 'u', password: 'p' }
    expect(await host.login('ghcr.io', credential)).toMatchObject({
      registry: 'ghcr.io',
      credential,
      options: { env: { HOME: '/h' }, plainHttp: true, tlsCa: 'ca.pem' },
    })
  })

  it('says when the plugin keeps no logins', async () => {
    await expect(logins({}).logout('ghcr.io')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})
