import { isS3loError, S3loError } from '@s3lo/core/plugin'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CredentialHelper } from '../../src/auth/credential-helper.ts'
import { codeOf } from '../code-of.ts'
import { Home } from './home.ts'

let home: Home

beforeEach(async () => {
  home = await Home.create()
})

afterEach(() => home.remove())

async function helperOf(script?: string, timeoutMs?: number): Promise<CredentialHelper> {
  await home.installHelper('test', script)
  return new CredentialHelper('test', { env: home.env, timeoutMs })
}

describe('CredentialHelper', () => {
  it('stores, gets, lists and erases', async () => {
    const helper = await helperOf()
    expect(await helper.get('ghcr.io')).toBeUndefined()
    await helper.store('ghcr.io', { username: 'alice', password: 'pä:ss"' })
    expect(await helper.get('ghcr.io')).toEqual({
      kind: 'password',
      username: 'alice',
      password: 'pä:ss"',
      source: 'docker-credential-test',
    })
    expect(await helper.list()).toEqual(new Map([['ghcr.io', 'alice']]))
    expect(await helper.erase('ghcr.io')).toBe(true)
    expect(await helper.erase('ghcr.io')).toBe(false)
    expect(await helper.get('ghcr.io')).toBeUndefined()
  })

  it('knows an identity token by the name of its user', async () => {
    const helper = await helperOf()
    await helper.store('x.azurecr.io', { username: '<token>', password: 'refresh' })
    expect(await helper.get('x.azurecr.io')).toMatchObject({
      kind: 'identity-token',
      token: 'refresh',
    })
  })

  it.each([
    ['process.exitCode = 1', /failed: no agent$/],
    ["process.kill(process.pid, 'SIGKILL')", /was ended by SIGKILL: no agent$/],
    ["process.stdout.write('not json')", /is not JSON: no agent$/],
    [
      "require('node:child_process').spawn('sleep', ['9'], { stdio: ['ignore', 'ignore', 'inherit'] }).unref(); process.exitCode = 1",
      /failed: no agent$/,
    ],
  ])('says what the helper said about itself (%s)', async (end, expected) => {
    const helper = await helperOf(`require('node:fs').writeSync(2, 'no agent\\n'); ${end}`)
    const error: unknown = await helper.get('ghcr.io').catch((caught) => caught)
    if (!isS3loError(error)) throw error
    expect(error.message).toMatch(expected)
  })

  it('shows no secret that the helper repeats', async () => {
    const helper = await helperOf(`process.stderr.write('no: pass'); process.exitCode = 1`)
    const storing = helper.store('ghcr.io', { username: 'alice', password: 'pass' })
    const error: unknown = await storing.catch((caught) => caught)
    if (!isS3loError(error, 'UNAVAILABLE')) throw error
    expect(error.message).toMatch(/failed: no: \*\*\*$/)
  })

  it.each(['', '../evil', 'a/b', 'a b', '-x', 'a\nb', 'a;b', '.', 'x'.repeat(200)])(
    'refuses to run %j',
    (name) => {
      expect(() => new CredentialHelper(name, { env: home.env })).toThrow(S3loError)
    },
  )

  it('says which helper is not installed', async () => {
    const error: unknown = await new CredentialHelper('absent', { env: home.env })
      .get('ghcr.io')
      .catch((caught) => caught)
    if (!isS3loError(error, 'UNSUPPORTED')) throw error
    expect(error.message).toContain('docker-credential-absent')
  })

  it('takes no other failure for absence', async () => {
    const helper = await helperOf(
      `process.stdout.write('keychain is locked'); process.exitCode = 1`,
    )
    const error: unknown = await helper.get('ghcr.io').catch((caught) => caught)
    if (!isS3loError(error, 'UNAVAILABLE')) throw error
    expect(error.message).toContain('keychain is locked')
  })

  it('does not repeat an answer of a helper that fails after it', async () => {
    const helper = await helperOf(
      `process.stdout.write('{"Username":"alice","Secret":"hunter2"}'); process.exitCode = 1`,
    )
    const error: unknown = await helper.get('ghcr.io').catch((caught) => caught)
    if (!isS3loError(error, 'UNAVAILABLE')) throw error
    expect(error.message + String(error.cause)).not.toContain('hunter2')
  })

  it('does not repeat a password that the helper says', async () => {
    const helper = await helperOf(
      `process.stdout.write(require('node:fs').readFileSync(0)); process.exitCode = 1`,
    )
    const stored = helper.store('ghcr.io', { username: 'alice', password: 'hunter2' })
    const error: unknown = await stored.catch((caught) => caught)
    if (!isS3loError(error, 'UNAVAILABLE')) throw error
    expect(error.message + String(error.cause)).not.toContain('hunter2')
  })

  it.each([
    ['no JSON', `'my-secret'`],
    ['no object', `'[]'`],
    ['a secret that is no text', `'{"Secret":1}'`],
  ])('refuses %s', async (_, output) => {
    const helper = await helperOf(`process.stdout.write(${output})`)
    const error: unknown = await helper.get('ghcr.io').catch((caught) => caught)
    if (!isS3loError(error, 'INTEGRITY')) throw error
    expect(error.message + String(error.cause)).not.toContain('my-secret')
  })

  it('stops a helper whose answer does not end', async () => {
    const helper = await helperOf(
      `const say = () => process.stdout.write('x'.repeat(65536), say); say()`,
    )
    expect(await codeOf(helper.get('ghcr.io'))).toBe('INTEGRITY')
  })

  it('takes an empty secret for nothing', async () => {
    const helper = await helperOf(`process.stdout.write('{"Username":"","Secret":""}')`)
    expect(await helper.get('ghcr.io')).toBeUndefined()
  })

  it('stops a helper that takes too long', async () => {
    const helper = await helperOf(`setInterval(() => {}, 1000)`, 100)
    expect(await codeOf(helper.get('ghcr.io'))).toBe('UNAVAILABLE')
  })

  it('stops a helper when the caller does not wait any more', async () => {
    const helper = await helperOf(`setInterval(() => {}, 1000)`)
    const controller = new AbortController()
    const got = helper.get('ghcr.io', { signal: controller.signal })
    controller.abort(new S3loError('ABORTED', 'enough'))
    expect(await codeOf(got)).toBe('ABORTED')
  })

  it('does not mind a helper that reads nothing', async () => {
    const helper = await helperOf(`process.stdout.write('{"Username":"a","Secret":"b"}')`)
    expect(await helper.get('x'.repeat(1_000_000))).toMatchObject({ username: 'a' })
  })
})
