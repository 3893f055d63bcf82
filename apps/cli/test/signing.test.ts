import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { imageFixture, putImage } from '@s3lo/core/testing'
import { type CommandContribution, S3loError } from '@s3lo/core/plugin'
import signing from '@s3lo/signing/plugin'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { toEntry } from '../src/contributed-command.ts'
import { describeCommand } from '../src/describe-command.ts'
import { CapturedStream, MemoryWorld, type RunOptions, type RunResult } from './run-cli.ts'

const commands: readonly CommandContribution[] = signing.commands
const plugins: NonNullable<RunOptions['plugins']> = {
  find: ({ kind }) => Promise.resolve(kind === 'signer' ? signing : undefined),
  findCommand: ([word]) => Promise.resolve(commands.find(({ path }) => path[0] === word)),
}

let folder: string
let world: MemoryWorld

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-signing-'))
  world = new MemoryWorld()
  expect((await s3lo('generate-key-pair', '--output-key-prefix', at('key'))).status).toBe(0)
  expect((await s3lo('generate-key-pair', '--output-key-prefix', at('other'))).status).toBe(0)
})
beforeEach(async () => {
  world = new MemoryWorld()
  await putImage(world.bucket('b'), { name: 'app', tag: 'v1' }, imageFixture({ layers: ['a'] }))
})
afterAll(() => rm(folder, { recursive: true }))

function at(file: string): string {
  return join(folder, file)
}

function s3lo(...argv: string[]): Promise<RunResult> {
  return world.run(argv, { plugins, env: { COSIGN_PASSWORD: 'secret' } })
}

describe('s3lo generate-key-pair', () => {
  it('writes a private key that only its owner reads, and never over one that is there', async () => {
    expect((await stat(at('key.key'))).mode & 0o777).toBe(0o600)
    expect(await readFile(at('key.key'), 'utf8')).toContain('ENCRYPTED SIGSTORE PRIVATE KEY')
    const before = await readFile(at('key.key'), 'utf8')
    const again = await s3lo('generate-key-pair', '--output-key-prefix', at('key'), '-o', 'json')
    expect(again.status).toBe(73)
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'CONFLICT' } })
    expect(await readFile(at('key.key'), 'utf8')).toBe(before)
  })

  it('leaves no private key where the public key cannot be written', async () => {
    await writeFile(at('half.pub'), 'taken')
    expect((await s3lo('generate-key-pair', '--output-key-prefix', at('half'))).status).toBe(73)
    await expect(stat(at('half.key'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('needs a password where there is no terminal to ask on', async () => {
    const argv = ['generate-key-pair', '--output-key-prefix', at('none')]
    expect(await world.run(argv, { plugins })).toMatchObject({ status: 64 })
  })

  it('says what it wrote', async () => {
    const { stdout } = await s3lo(
      'generate-key-pair',
      '--output-key-prefix',
      at('third'),
      '-o',
      'json',
    )
    expect(JSON.parse(stdout)).toEqual({
      privateKey: at('third.key'),
      publicKey: at('third.pub'),
      keyID: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
  })
})

describe('s3lo sign', () => {
  it('prints what it signed, as text and as a document', async () => {
    const text = await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'))
    expect(text).toMatchObject({ status: 0, stderr: '' })
    expect(text.stdout).toMatch(
      /^Signed mem:\/\/b\/app:v1\n {2}Digest: sha256:[0-9a-f]{64}\n {2}Key: {4}.*\n {2}Key ID: [0-9a-f]{16}\n {2}Signed: .*Z\n {2}Stored: b\/manifests\/app\/v1\/signatures\/[0-9a-f]{16}\.json\n$/,
    )
    const { stdout } = await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'), '-o', 'json')
    const result: unknown = JSON.parse(stdout)
    expect(Object.keys(result as object)).toEqual([
      'ref',
      'digest',
      'keyID',
      'keyRef',
      'signedAt',
      'storedPath',
      'schemaVersion',
      'algorithm',
      'bundle',
      'signature',
    ])
  })

  it.each([
    ['no tag', ['mem://b/app', '--key', 'KEY.key'], 64],
    ['no key', ['mem://b/app:v1'], 64],
    ['an unknown schema', ['mem://b/app:v1', '--key', 'KEY.key', '--schema', '3'], 64],
    ['a missing image', ['mem://b/app:v2', '--key', 'KEY.key'], 66],
    ['a missing key', ['mem://b/app:v1', '--key', 'no-such.key'], 66],
    ['a public key', ['mem://b/app:v1', '--key', 'KEY.pub'], 64],
  ])('fails with %s', async (_, words, status) => {
    const argv = words.map((word) => word.replace('KEY', at('key')))
    expect((await s3lo('sign', ...argv)).status).toBe(status)
  })

  it('says so when the password is wrong', async () => {
    const argv = ['sign', 'mem://b/app:v1', '--key', at('key.key')]
    const result = await world.run(argv, { plugins, env: { COSIGN_PASSWORD: 'wrong' } })
    expect(result.status).toBe(77)
    expect(result.stderr).not.toContain('wrong')
  })
})

describe('s3lo verify', () => {
  it('exits with 0 for a valid signature, and says what is not signed', async () => {
    await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'))
    const { status, stdout, stderr } = await s3lo(
      'verify',
      'mem://b/app:v1',
      '--key',
      at('key.pub'),
    )
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^✓ Verified mem:\/\/b\/app:v1\n/)
    expect(stdout).toMatch(/ {2}Signed: .*Z \(unauthenticated/)
    expect(stdout).toMatch(/ {2}Signed with: .*key\.key \(unauthenticated/)
    const document = await s3lo('verify', 'mem://b/app:v1', '--key', at('key.pub'), '-o', 'json')
    expect(JSON.parse(document.stdout)).toMatchObject({
      verified: true,
      keyRef: at('key.pub'),
      form: 'record',
      unauthenticated: { keyRef: at('key.key') },
    })
  })

  it('lets no record write to the terminal', async () => {
    await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'))
    const bucket = world.bucket('b')
    for await (const { key } of bucket.list('manifests/app/v1/signatures/')) {
      const { body } = await bucket.get(key)
      const text = Buffer.concat(await Array.fromAsync(body as AsyncIterable<Uint8Array>))
      await bucket.put(
        key,
        Buffer.from(text.toString().replace('"keyRef":"', '"keyRef":"\\u001b[2J')),
      )
    }
    const { status, stdout } = await s3lo('verify', 'mem://b/app:v1', '--key', at('key.pub'))
    expect(status).toBe(0)
    expect(stdout).not.toContain('\u001b')
  })

  it('exits with 1 without a signature of the key, and says so on standard error', async () => {
    await s3lo('sign', 'mem://b/app:v1', '--key', at('other.key'))
    const text = await s3lo('verify', 'mem://b/app:v1', '--key', at('key.pub'))
    expect(text).toMatchObject({ status: 1, stdout: '' })
    expect(text.stderr).toMatch(/^✗ Verification FAILED for mem:\/\/b\/app:v1\n/)
    const document = await s3lo('verify', 'mem://b/app:v1', '--key', at('key.pub'), '-o', 'json')
    expect(document.status).toBe(1)
    expect(JSON.parse(document.stdout)).toMatchObject({
      verified: false,
      reason: expect.any(String),
      digest: expect.stringMatching(/^sha256:/),
      keyID: expect.any(String),
    })
  })

  it('exits with 1 for a record of schema 1 unless it is accepted', async () => {
    await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'), '--schema', '1')
    const argv = ['verify', 'mem://b/app:v1', '--key', at('key.pub')]
    expect((await s3lo(...argv)).status).toBe(1)
    expect((await s3lo(...argv, '--allow-schema-1')).status).toBe(0)
  })

  it('exits with 1 for what was signed before the time that was asked for', async () => {
    await s3lo('sign', 'mem://b/app:v1', '--key', at('key.key'))
    const argv = ['verify', 'mem://b/app:v1', '--key', at('key.pub'), '--signed-after']
    expect((await s3lo(...argv, '2020-01-01T00:00:00Z')).status).toBe(0)
    expect((await s3lo(...argv, '2999-01-01T00:00:00+01:00')).status).toBe(1)
  })

  it.each([
    ['no tag', ['mem://b/app', '--key', 'KEY.pub']],
    ['no key', ['mem://b/app:v1']],
    ['an unknown option', ['mem://b/app:v1', '--key', 'KEY.pub', '--nope']],
    ['no reference', ['--key', 'KEY.pub']],
    ['a missing image', ['mem://b/app:v2', '--key', 'KEY.pub']],
    ['a missing key', ['mem://b/app:v1', '--key', 'no-such.pub']],
    ['a time that is none', ['mem://b/app:v1', '--key', 'KEY.pub', '--signed-after', 'monday']],
    [
      'a time without a zone',
      ['mem://b/app:v1', '--key', 'KEY.pub', '--signed-after', '2026-01-01'],
    ],
    ['an unknown global value', ['mem://b/app:v1', '--key', 'KEY.pub', '--timeout', 'soon']],
    ['an unknown format', ['mem://b/app:v1', '--key', 'KEY.pub', '-o', 'xml']],
  ])('exits with 2 for %s', async (_, words) => {
    const argv = words.map((word) => word.replace('KEY', at('key')))
    expect((await s3lo('verify', ...argv)).status).toBe(2)
  })

  it('accepts a shortened digest, as sign does not', async () => {
    const { digest } = imageFixture({ layers: ['a'] }).root.descriptor
    const short = `mem://b/app@${digest.slice(0, 15)}`
    expect((await s3lo('sign', short, '--key', at('key.key'))).status).toBe(64)
    expect((await s3lo('sign', `mem://b/app@${digest}`, '--key', at('key.key'))).status).toBe(0)
    const { status, stdout } = await s3lo('verify', short, '--key', at('key.pub'), '-o', 'json')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ ref: `mem://b/app@${digest}`, verified: true })
  })

  it('exits with 2 when the store does not answer', async () => {
    const argv = ['verify', 'mem://b/app:v1', '--key', at('key.pub'), '-o', 'json']
    const verify = (): Promise<never> =>
      Promise.reject(new S3loError('UNAVAILABLE', 'the store does not answer'))
    const { status, stdout } = await world.run(argv, { plugins, host: { verify } })
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'UNAVAILABLE' } })
  })
})

describe('the group `security` of the Go program', () => {
  it('is left out: its commands stand alone', async () => {
    const signed = await s3lo('security', 'sign', 'mem://b/app:v1', '--key', at('key.key'))
    expect(signed).toMatchObject({ status: 0, stderr: '' })
    const argv = ['-o', 'json', 'security', 'verify', 'mem://b/app:v1', '--key', at('key.pub')]
    expect((await s3lo(...argv)).status).toBe(0)
    expect((await s3lo('security', 'verify', 'mem://b/app:v1')).status).toBe(2)
    expect((await s3lo('security', 'verify', '--help')).stdout).toContain('Usage: s3lo verify')
    expect((await s3lo('security', 'list', 'mem://b/')).status).toBe(64)
  })
})

describe('a password on a terminal', () => {
  it('is asked for without being shown', async () => {
    const modes: boolean[] = []
    const stdin = Object.assign(new PassThrough(), {
      isTTY: true,
      setRawMode: (mode: boolean) => modes.push(mode),
    })
    const stderr = new CapturedStream()
    const argv = ['generate-key-pair', '--output-key-prefix', at('typed')]
    stdin.write('pasx\u007fs')
    const ended = world.run(argv, { plugins, stdin, stderr })
    stdin.write('\r')
    // The second question comes once the first was answered.
    const answer = setInterval(() => {
      if (stderr.text.includes('again')) stdin.write('pass\r')
    })
    expect(await ended.finally(() => clearInterval(answer))).toMatchObject({ status: 0 })
    expect(modes).toEqual([true, false, true, false])
    expect(stderr.text).not.toContain('pass\r')
    const argvSign = ['sign', 'mem://b/app:v1', '--key', at('typed.key')]
    const env = { COSIGN_PASSWORD: 'pass' }
    expect((await world.run(argvSign, { plugins, env })).status).toBe(0)
  })
})

describe.each(commands.map((command) => [command.path.join(' '), command] as const))(
  's3lo %s',
  (name, contribution) => {
    it('has a page that says what its help says', async () => {
      const description = await describeCommand(toEntry(contribution))
      const page = await readFile(
        new URL(`../../../docs/commands/${name}.md`, import.meta.url),
        'utf8',
      )
      expect(page).toContain(`# s3lo ${name}\n`)
      expect(page).toContain(`\`\`\`\n${description.usage} [options]\n\`\`\`\n`)
      for (const { names, value, description: text } of description.options) {
        const words = `${names.join(', ')}${value === undefined ? '' : ` ${value}`}`
        expect(page).toContain(`| \`${words}\` | ${text} |\n`)
      }
      for (const [label, line] of description.examples)
        expect(page).toContain(`# ${label}\n${line}\n`)
      const { status, stdout } = await world.run([name, '--help'], { plugins })
      expect(status).toBe(0)
      expect(stdout).toContain(`Usage: ${description.usage} [options]\n`)
    })
  },
)
