import { lstat, readdir, stat, symlink } from 'node:fs/promises'
import { isS3loError } from '@s3lo/core/plugin'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Credentials } from '../../src/auth/credentials.ts'
import { login, logout, parseRegistryHost } from '../../src/auth/login.ts'
import { codeOf } from '../code-of.ts'
import { Home } from './home.ts'
import { TokenService } from './token-service.ts'

const ALICE = { username: 'alice', password: 's3cret' }
const AUTH = Buffer.from('alice:s3cret').toString('base64')

let home: Home
let registry: TokenService

beforeEach(async () => {
  home = await Home.create()
  registry = await TokenService.start()
  registry.challenge = 'Basic realm="a registry"'
  registry.accepts = (authorization) => authorization === `Basic ${AUTH}`
})

afterEach(async () => {
  await registry.stop()
  await home.remove()
})

function loginAs(credential = ALICE) {
  return login(registry.host, credential, { env: home.env })
}

describe('login', () => {
  it('keeps a password that the registry takes, for its owner only', async () => {
    expect(await loginAs()).toEqual({
      host: registry.host,
      username: 'alice',
      keptIn: home.dockerConfig,
      isPlain: true,
      isChecked: true,
    })
    expect(await home.readConfig()).toEqual({ auths: { [registry.host]: { auth: AUTH } } })
    expect((await stat(home.dockerConfig)).mode & 0o777).toBe(0o600)
    expect(await readdir(`${home.folder}/.docker`)).toEqual(['config.json'])
    const found = await new Credentials({ env: home.env }).find(registry.host)
    expect(found).toMatchObject({ kind: 'password', ...ALICE })
  })

  it('keeps nothing that the registry refuses, and says so in one line', async () => {
    const error: unknown = await loginAs({ ...ALICE, password: 'wrong' }).catch((caught) => caught)
    if (!isS3loError(error, 'UNAUTHORIZED')) throw error
    expect(error.message).toContain(registry.host)
    expect(error.message).not.toContain('\n')
    expect(error.message).not.toContain('wrong')
    expect(await readdir(home.folder)).not.toContain('.docker')
  })

  it('checks the password at the token service of the registry', async () => {
    registry.challenge = `Bearer realm="${registry.realm}",service="s"`
    registry.accepts = (authorization) => authorization === 'Bearer a-token'
    registry.answer = ({ authorization }) =>
      authorization === `Basic ${AUTH}` ? [200, { token: 'a-token' }] : [401, '']
    expect(await codeOf(loginAs({ ...ALICE, password: 'wrong' }))).toBe('UNAUTHORIZED')
    expect((await loginAs()).isChecked).toBe(true)
  })

  it('says when the registry did not want to know', async () => {
    registry.accepts = () => true
    expect((await loginAs()).isChecked).toBe(false)
  })

  it('uses the new password and not the one that is kept', async () => {
    await home.write('.docker/config.json', {
      auths: { [registry.host]: { auth: Buffer.from('alice:old').toString('base64') } },
    })
    await loginAs()
    expect(await home.readConfig()).toEqual({ auths: { [registry.host]: { auth: AUTH } } })
  })

  it('leaves everything else in the file as it is, other spellings of the host apart', async () => {
    const rest = { HttpHeaders: { 'X-Meta': 'a' }, psFormat: 'table', plugins: { x: { y: '1' } } }
    const others = {
      'quay.io': { auth: AUTH, email: '' },
      [`${registry.host}/team`]: { auth: AUTH },
    }
    await home.write('.docker/config.json', {
      ...rest,
      auths: { ...others, [`https://${registry.host}/v1/`]: { auth: 'b2xkOm9sZA==' } },
    })
    await loginAs()
    expect(await home.readConfig()).toEqual({
      ...rest,
      auths: { ...others, [registry.host]: { auth: AUTH } },
    })
  })

  it('keeps the password with the helper of the file, and takes it out of the file', async () => {
    await home.installHelper('test')
    await home.write('.docker/config.json', {
      credsStore: 'test',
      auths: { [registry.host]: { auth: AUTH } },
    })
    expect(await loginAs()).toMatchObject({ keptIn: 'docker-credential-test', isPlain: false })
    expect(await home.keychain()).toEqual({
      [registry.host]: { Username: 'alice', Secret: 's3cret' },
    })
    expect(await home.readConfig()).toEqual({ credsStore: 'test', auths: {} })
  })

  it('follows a link to the file', async () => {
    const real = await home.write('dotfiles/docker.json', { auths: {} })
    await home.write('.docker/other', '')
    await symlink(real, home.dockerConfig)
    await loginAs()
    expect((await lstat(home.dockerConfig)).isSymbolicLink()).toBe(true)
    expect(await home.readConfig()).toEqual({ auths: { [registry.host]: { auth: AUTH } } })
  })

  it('does not overwrite a file that it cannot read', async () => {
    await home.write('.docker/config.json', '{ broken')
    expect(await codeOf(loginAs())).toBe('INTEGRITY')
  })

  it.each([
    { username: '', password: 'x' },
    { username: 'a', password: '' },
    { username: 'a:b', password: 'x' },
    { username: 'a\r\nb', password: 'x' },
    { username: 'a', password: 'x\n' },
  ])('refuses %j before it asks', async (credential) => {
    expect(await codeOf(loginAs(credential))).toBe('USAGE')
    expect(registry.authorizations).toEqual([])
  })
})

describe('logout', () => {
  it('forgets what login keeps in the file', async () => {
    await loginAs()
    const result = await logout(registry.host, { env: home.env })
    expect(result).toEqual({
      host: registry.host,
      removedFrom: [home.dockerConfig],
      remainingIn: [],
    })
    expect(await home.readConfig()).toEqual({ auths: {} })
  })

  it('forgets what login keeps with a helper', async () => {
    await home.installHelper('test')
    await home.write('.docker/config.json', { credHelpers: { [registry.host]: 'test' } })
    await loginAs()
    const result = await logout(registry.host, { env: home.env })
    expect(result.removedFrom).toEqual(['docker-credential-test'])
    expect(await home.keychain()).toEqual({})
  })

  it('says which other files still have credentials', async () => {
    const other = await home.write('run/containers/auth.json', {
      auths: { 'ghcr.io': { auth: AUTH } },
    })
    expect(await logout('ghcr.io', { env: home.env })).toEqual({
      host: 'ghcr.io',
      removedFrom: [],
      remainingIn: [other],
    })
  })

  it('writes nothing where there is nothing to forget', async () => {
    expect((await logout('ghcr.io', { env: home.env })).removedFrom).toEqual([])
    expect(await readdir(home.folder)).not.toContain('.docker')
  })
})

describe('parseRegistryHost', () => {
  it.each([
    ['ghcr.io', 'ghcr.io', 'ghcr.io'],
    ['GHCR.io', 'ghcr.io', 'ghcr.io'],
    ['localhost', 'localhost', 'localhost'],
    ['localhost:5000', 'localhost:5000', 'localhost:5000'],
    ['https://ghcr.io/', 'ghcr.io', 'ghcr.io'],
    ['docker.io', 'docker.io', 'registry-1.docker.io'],
    ['https://index.docker.io/v1/', 'docker.io', 'registry-1.docker.io'],
  ])('reads %s', (text, host, apiHost) => {
    expect(parseRegistryHost(text)).toEqual({ host, apiHost })
  })

  it.each([
    '',
    'alice',
    'ghcr.io/team',
    'a b.io',
    'ghcr.io@x',
    'alice@ghcr.io',
    's3://x',
    'a.io:x',
  ])('refuses %j', async (text) => {
    const read = Promise.resolve().then(() => parseRegistryHost(text))
    expect(await codeOf(read)).toBe('INVALID_REFERENCE')
  })
})
