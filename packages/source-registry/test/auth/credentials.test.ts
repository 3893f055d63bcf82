import { chmod, mkdir } from 'node:fs/promises'
import { isS3loError } from '@s3lo/core/plugin'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { authFilePaths } from '../../src/auth/auth-file.ts'
import { Credentials, type CredentialsOptions } from '../../src/auth/credentials.ts'
import { codeOf } from '../code-of.ts'
import { Home } from './home.ts'

let home: Home

beforeEach(async () => {
  home = await Home.create()
})

afterEach(() => home.remove())

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

/** An entry of `auths` for a name; its password is `pw`. */
function entry(username: string) {
  return { auth: base64(`${username}:pw`) }
}

function find(host: string, repository?: string, options: Partial<CredentialsOptions> = {}) {
  return new Credentials({ env: home.env, ...options }).find(host, { repository })
}

/** The name that is found, or what else is. */
async function userFor(host: string, repository?: string, options?: Partial<CredentialsOptions>) {
  const found = await find(host, repository, options)
  return found?.kind === 'password' ? found.username : found
}

describe('Credentials', () => {
  it('finds nothing where there is nothing', async () => {
    expect(await find('ghcr.io')).toBeUndefined()
  })

  it('reads name and password of config.json', async () => {
    const path = await home.write('.docker/config.json', {
      auths: { 'ghcr.io': { auth: base64('alice:pw:with:colons\0\0') } },
    })
    expect(await find('ghcr.io')).toEqual({
      kind: 'password',
      username: 'alice',
      password: 'pw:with:colons',
      source: path,
    })
    expect(await find('GHCR.io')).toBeDefined()
    expect(await find('quay.io')).toBeUndefined()
  })

  it('reads base64 that was wrapped', async () => {
    const auth = base64('alice:a-long-password').replaceAll(/.{8}/g, '$&\r\n')
    await home.write('.docker/config.json', { auths: { 'ghcr.io': { auth: `${auth}\n` } } })
    expect(await find('ghcr.io')).toMatchObject({ username: 'alice', password: 'a-long-password' })
  })

  it.each([
    ['ghcr.io', 'ghcr.io'],
    ['https://ghcr.io', 'ghcr.io'],
    ['https://ghcr.io/v1/', 'ghcr.io'],
    ['http://ghcr.io/v2/', 'ghcr.io'],
    ['ghcr.io/v2', 'ghcr.io'],
    ['ghcr.io/', 'ghcr.io'],
    ['localhost:5000', 'localhost:5000'],
    ['https://index.docker.io/v1/', 'docker.io'],
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
    ['docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
  ])('knows by %j that %s is meant', async (key, host) => {
    await home.write('.docker/config.json', { auths: { [key]: entry('alice') } })
    expect(await userFor(host)).toBe('alice')
  })

  it.each(['ghcr.io:443', 'ghcr.io.evil.example', 'evil-ghcr.io', 'io', 'ghcr.io/team'])(
    'does not take %j for ghcr.io',
    async (key) => {
      await home.write('.docker/config.json', { auths: { [key]: entry('alice') } })
      expect(await find('ghcr.io')).toBeUndefined()
    },
  )

  it('prefers the entry for the longest part of the repository', async () => {
    await home.write('.docker/config.json', {
      auths: {
        'quay.io': entry('all'),
        'quay.io/team': entry('team'),
        'quay.io/team/app': entry('app'),
      },
    })
    expect(await userFor('quay.io', 'team/app')).toBe('app')
    expect(await userFor('quay.io', 'team/app/part')).toBe('app')
    expect(await userFor('quay.io', 'team/application')).toBe('team')
    expect(await userFor('quay.io', 'teams')).toBe('all')
    expect(await userFor('quay.io')).toBe('all')
  })

  it('reads identity tokens, registry tokens, and names and passwords written apart', async () => {
    await home.write('.docker/config.json', {
      auths: {
        'a.io': { auth: base64('00000000:'), identitytoken: 'refresh' },
        'b.io': { registrytoken: 'bearer' },
        'c.io': { username: 'alice', password: 'pw' },
        'd.io': {},
      },
    })
    expect(await find('a.io')).toMatchObject({ kind: 'identity-token', token: 'refresh' })
    expect(await find('b.io')).toMatchObject({ kind: 'registry-token', token: 'bearer' })
    expect(await userFor('c.io')).toBe('alice')
    expect(await find('d.io')).toBeUndefined()
  })

  it('asks the helper of the host before the helper for all hosts', async () => {
    await home.installHelper('own', `process.stdout.write('{"Username":"own","Secret":"pw"}')`)
    await home.installHelper('all', `process.stdout.write('{"Username":"all","Secret":"pw"}')`)
    await home.write('.docker/config.json', {
      credHelpers: { 'ghcr.io': 'own' },
      credsStore: 'all',
    })
    expect(await userFor('ghcr.io')).toBe('own')
    expect(await userFor('quay.io')).toBe('all')
  })

  it('asks no helper for a host whose helper is empty, as docker does', async () => {
    await home.installHelper('all', `process.stdout.write('{"Username":"all","Secret":"pw"}')`)
    await home.write('.docker/config.json', {
      credHelpers: { 'plain.io': '' },
      credsStore: 'all',
      auths: { 'plain.io': entry('alice') },
    })
    expect(await userFor('plain.io')).toBe('alice')
    expect(await userFor('quay.io')).toBe('all')
  })

  it('asks helpers for Docker Hub by the key of docker login', async () => {
    await home.installHelper('test')
    const hub = { Username: 'alice', Secret: 'pw' }
    await home.write('keychain.json', { 'https://index.docker.io/v1/': hub })
    await home.write('.docker/config.json', { credsStore: 'test' })
    expect(await userFor('docker.io')).toBe('alice')
  })

  it('takes what is written where the helper has nothing', async () => {
    await home.installHelper('test')
    await home.write('.docker/config.json', {
      credsStore: 'test',
      auths: { 'ghcr.io': entry('alice') },
    })
    expect(await userFor('ghcr.io')).toBe('alice')
  })

  it('fails when the helper is missing, although the file has an entry', async () => {
    await home.write('.docker/config.json', {
      credsStore: 'absent',
      auths: { 'ghcr.io': entry('alice') },
    })
    expect(await codeOf(find('ghcr.io'))).toBe('UNSUPPORTED')
  })

  it('runs no helper that is a path', async () => {
    await home.write('.docker/config.json', { credsStore: '../../evil' })
    expect(await codeOf(find('ghcr.io'))).toBe('INTEGRITY')
  })

  it('looks in the files of docker and podman in turn', async () => {
    await home.write('.config/containers/auth.json', {
      auths: { 'a.io': entry('user'), 'b.io': entry('user'), 'c.io': entry('user') },
    })
    await home.write('run/containers/auth.json', {
      auths: { 'a.io': entry('session'), 'b.io': entry('session') },
    })
    await home.write('.docker/config.json', { auths: { 'a.io': entry('docker') } })
    const users = [await userFor('a.io'), await userFor('b.io'), await userFor('c.io')]
    expect(users).toEqual(['docker', 'session', 'user'])
  })

  it('looks in REGISTRY_AUTH_FILE alone where it is set', async () => {
    await home.write('.docker/config.json', {
      auths: { 'a.io': entry('docker'), 'b.io': entry('docker') },
    })
    const only = await home.write('only.json', { auths: { 'a.io': entry('only') } })
    const env = { ...home.env, REGISTRY_AUTH_FILE: only }
    expect(await userFor('a.io', undefined, { env })).toBe('only')
    expect(await userFor('b.io', undefined, { env })).toBeUndefined()
  })

  it('looks in the folder of DOCKER_CONFIG', async () => {
    await home.write('.docker/config.json', { auths: { 'a.io': entry('home') } })
    await home.write('ci/config.json', { auths: { 'a.io': entry('ci') } })
    const env = { ...home.env, DOCKER_CONFIG: `${home.folder}/ci` }
    expect(await userFor('a.io', undefined, { env })).toBe('ci')
  })

  it('knows where the files are', () => {
    const env = { HOME: '/home/alice', XDG_RUNTIME_DIR: '/run/user/1', XDG_CONFIG_HOME: 'relative' }
    expect(authFilePaths(env)).toEqual([
      '/home/alice/.docker/config.json',
      '/run/user/1/containers/auth.json',
      '/home/alice/.config/containers/auth.json',
    ])
  })

  it.each([
    ['no JSON', '{"auths": {"ghcr.io": {"auth": my-secret', 'INTEGRITY'],
    ['a list', '[]', 'INTEGRITY'],
    ['auths that are no object', { auths: ['my-secret'] }, 'INTEGRITY'],
    ['an entry that is no object', { auths: { 'ghcr.io': 'my-secret' } }, 'INTEGRITY'],
    ['no base64', { auths: { 'ghcr.io': { auth: 'my-secret!' } } }, 'INTEGRITY'],
    ['no colon', { auths: { 'ghcr.io': { auth: base64('my-secret') } } }, 'INTEGRITY'],
    ['a line break', { auths: { 'ghcr.io': { registrytoken: 'my-secret\r\n' } } }, 'INTEGRITY'],
    ['helpers that are no texts', { credHelpers: { 'ghcr.io': ['my-secret'] } }, 'INTEGRITY'],
  ])('names the file that has %s, and nothing in it', async (_, content, code) => {
    const path = await home.write('.docker/config.json', content)
    const error: unknown = await find('ghcr.io').catch((caught) => caught)
    if (!isS3loError(error)) throw error
    expect(error.code).toBe(code)
    expect(error.message).toContain(path)
    expect(error.message + String(error.cause)).not.toContain('my-secret')
  })

  it('does not mind what is wrong with other hosts', async () => {
    await home.write('.docker/config.json', {
      auths: { 'quay.io': { auth: '!' }, 'ghcr.io': entry('alice') },
    })
    expect(await userFor('ghcr.io')).toBe('alice')
  })

  it('takes an empty file for one that says nothing', async () => {
    await home.write('.docker/config.json', '')
    expect(await find('ghcr.io')).toBeUndefined()
  })

  it('fails when a file is none, or is far too large', async () => {
    await mkdir(home.dockerConfig, { recursive: true })
    expect(await codeOf(find('ghcr.io'))).toBe('IO')
    const large = await home.write('large.json', ' '.repeat(5 * 1024 * 1024))
    const env = { ...home.env, REGISTRY_AUTH_FILE: large }
    expect(await codeOf(find('ghcr.io', undefined, { env }))).toBe('INTEGRITY')
  })

  it.skipIf(process.getuid?.() === 0)(
    'fails when a file must not be read (not as root)',
    async () => {
      const path = await home.write('.docker/config.json', {})
      await chmod(path, 0)
      expect(await codeOf(find('ghcr.io'))).toBe('IO')
    },
  )

  it('asks the cloud only where the files have nothing', async () => {
    const expiresAt = new Date(2_000_000_000_000)
    const asked: string[] = []
    const registryCredential: CredentialsOptions['registryCredential'] = (host) => {
      asked.push(host)
      const cloud = { username: 'AWS', password: 'pw', expiresAt }
      return Promise.resolve(host.endsWith('.amazonaws.com') ? cloud : undefined)
    }
    await home.write('.docker/config.json', { auths: { 'ghcr.io': entry('alice') } })
    const ecr = '123456789012.dkr.ecr.eu-west-1.amazonaws.com'
    const options = { registryCredential }
    expect(await userFor('ghcr.io', undefined, options)).toBe('alice')
    expect(await find(ecr, undefined, options)).toMatchObject({ username: 'AWS', expiresAt })
    expect(await userFor('quay.io', undefined, options)).toBeUndefined()
    expect(asked).toEqual([ecr, 'quay.io'])
  })

  it('takes what is given explicitly and reads nothing', async () => {
    await home.write('.docker/config.json', 'broken')
    const explicit = { username: 'bob', password: 'pw' }
    expect(await userFor('ghcr.io', undefined, { explicit })).toBe('bob')
  })
})
