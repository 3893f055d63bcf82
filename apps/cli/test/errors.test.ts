import { EXIT_STATUS, S3loError } from '@s3lo/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { formatError } from '../src/exit.ts'
import { redact } from '../src/redact.ts'
import { CapturedStream, FakeInterruption, MemoryWorld } from './run-cli.ts'

let world: MemoryWorld

beforeEach(() => {
  world = new MemoryWorld()
})

function failing(reason: unknown) {
  return { host: { list: () => Promise.reject(reason) } }
}

describe('an error', () => {
  it.each(Object.entries(EXIT_STATUS))('%s ends with status %i', async (code, status) => {
    const error = new S3loError(code as keyof typeof EXIT_STATUS, 'no')
    expect((await world.run(['list', 'mem://b/'], failing(error))).status).toBe(status)
  })

  it('is one line and a hint, without a stack', async () => {
    const error = new S3loError('NOT_FOUND', 'image a\u001b[0m is gone', {
      hint: 's3lo list mem://b/',
      cause: new Error('inner'),
    })
    expect(await world.run(['list', 'mem://b/'], failing(error))).toEqual({
      status: 66,
      stdout: '',
      stderr: 'error: image a\\x1b[0m is gone\nhint: s3lo list mem://b/\n',
    })
  })

  it('shows its causes with --verbose', async () => {
    const error = new S3loError('NOT_FOUND', 'gone', { cause: new Error('inner') })
    const { stderr } = await world.run(['list', 'mem://b/', '--verbose'], failing(error))
    expect(stderr).toContain('caused by: Error: inner')
    expect(stderr).toMatch(/\n {6}at /)
  })

  it('is a bug of ours, shown with its stack, when it is not one of s3lo', async () => {
    const { status, stderr } = await world.run(
      ['list', 'mem://b/'],
      failing(new TypeError('x is y')),
    )
    expect(status).toBe(70)
    expect(stderr).toMatch(/^error: x is y\n {2}TypeError: x is y\n {6}at [^]*\nhint: /)
  })

  it('is one document on standard output with -o json', async () => {
    const error = new S3loError('CONFLICT', 'taken', { hint: 'another' })
    const result = await world.run(['list', 'mem://b/', '-o', 'json'], failing(error))
    expect(result).toEqual({
      status: 73,
      stdout: `${JSON.stringify({ error: { code: 'CONFLICT', message: 'taken', hint: 'another' } }, undefined, 2)}\n`,
      stderr: '',
    })
  })

  it('is such a document even when the command line is wrong', async () => {
    const { status, stdout } = await world.run(['list', '-o', 'json'])
    expect(status).toBe(64)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE' } })
  })

  it('survives a loop of causes', () => {
    const error: Error = new Error('round')
    error.cause = error
    expect(formatError(error, { env: {} })).toContain('round')
  })
})

describe('secrets', () => {
  it.each([
    ['GET https://user:hunter2@host/x failed', 'hunter2'],
    ['https://b.s3/x?X-Amz-Signature=abcdef&x=1', 'abcdef'],
    ['https://acc.blob/x?sv=1&sig=AbC%2Bd', 'AbC%2Bd'],
    ['Authorization: Bearer abc.def', 'abc.def'],
    ['{"authorization":"Basic dXNlcjpwYXNz"}', 'dXNlcjpwYXNz'],
    ['AccountName=a;AccountKey=Zm9vYmFy;x', 'Zm9vYmFy'],
  ])('are taken out of %s', (text, secret) => {
    expect(redact(text, {})).not.toContain(secret)
  })

  it('of the environment are never shown', async () => {
    const env = { AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7', PATH_TOKEN: '/run/secrets/token' }
    const cause = new Error('signed with wJalrXUtnFEMI/K7 of /run/secrets/token')
    const error = new S3loError('UNAUTHORIZED', 'refused wJalrXUtnFEMI/K7', { cause })
    for (const flags of [[], ['--verbose'], ['-o', 'json']]) {
      const argv = ['list', 'mem://b/', ...flags]
      const { stdout, stderr } = await world.run(argv, { ...failing(error), env })
      expect(stdout + stderr).toContain('***')
      expect(stdout + stderr).not.toContain('wJalrXUtnFEMI')
    }
  })
})

describe('colour', () => {
  const error = new S3loError('NOT_FOUND', 'gone')
  const red = '\u001b[31merror:\u001b[0m gone\n'
  const plain = 'error: gone\n'

  it.each([
    ['is for terminals', [], {}, 80, red],
    ['is not for pipes', [], {}, undefined, plain],
    ['is not used with NO_COLOR', [], { NO_COLOR: '1' }, 80, plain],
    ['is used with FORCE_COLOR', [], { FORCE_COLOR: '1' }, undefined, red],
    ['is not used with FORCE_COLOR=0', [], { FORCE_COLOR: '0' }, 80, plain],
    ['is not for dumb terminals', [], { TERM: 'dumb' }, 80, plain],
    ['is used with --color always', ['--color', 'always'], { NO_COLOR: '1' }, undefined, red],
    ['is not used with --color never', ['--color=never'], { FORCE_COLOR: '1' }, 80, plain],
  ])('%s', async (_title, flags, env, columns, expected) => {
    const argv = ['list', 'mem://b/', ...flags]
    const stderr = new CapturedStream(columns)
    const result = await world.run(argv, { ...failing(error), env, stderr })
    expect(result.stderr).toBe(expected)
  })
})

describe('an interruption', () => {
  const hang = () => new Promise<never>(() => {})

  it('ends work that stops, and says how to resume', async () => {
    const interruption = new FakeInterruption()
    const push = (_from: string, _to: string, options: { signal?: AbortSignal | undefined } = {}) =>
      new Promise<never>((_resolve, reject) => {
        options.signal?.addEventListener('abort', () => reject(new Error('stopped')))
        interruption.interrupt(new S3loError('ABORTED', 'interrupted'))
      })
    const argv = ['push', 'my app', 'mem://b/app:v1']
    const { status, stderr } = await world.run(argv, { host: { push }, interruption })
    expect(status).toBe(130)
    expect(stderr).toContain(
      "interrupted; run the same command again to resume: s3lo push 'my app' mem://b/app:v1\n",
    )
  })

  it('ends while work hangs', async () => {
    const interruption = new FakeInterruption()
    const running = world.run(['list', 'mem://b/'], { host: { list: hang }, interruption })
    interruption.interrupt(new S3loError('ABORTED', 'interrupted'), 143)
    expect(await running).toEqual({ status: 143, stdout: '', stderr: 'interrupted\n' })
  })

  it('is a document with -o json', async () => {
    const interruption = new FakeInterruption()
    interruption.interrupt(new S3loError('ABORTED', 'interrupted'))
    const argv = ['push', 'a', 'mem://b/a:1', '-o', 'json']
    const { status, stdout } = await world.run(argv, { host: { push: hang }, interruption })
    expect(status).toBe(130)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'ABORTED' } })
  })

  it('by --timeout is an error that can be tried again', async () => {
    const argv = ['list', 'mem://b/', '--timeout', '10ms']
    const { status, stderr } = await world.run(argv, { host: { list: hang } })
    expect({ status, stderr }).toEqual({
      status: 75,
      stderr: 'error: timed out after 10ms\nhint: try again, or give it longer with --timeout\n',
    })
  })
})
