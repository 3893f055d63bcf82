import {
  argument,
  defineCommand,
  flag,
  option,
  repeatedOption,
  requiredOption,
  S3loError,
} from '@s3lo/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { editDistance, nearest } from '../src/suggest.ts'
import { MemoryWorld } from './run-cli.ts'

let world: MemoryWorld

beforeEach(() => {
  world = new MemoryWorld()
})

describe('a wrong command line', () => {
  it.each([
    [['pusch', 'a', 'b'], 's3lo has no command "pusch"', 'did you mean s3lo push?'],
    [['lsit'], 's3lo has no command "lsit"', 'did you mean s3lo list?'],
    [['xyzzy'], 's3lo has no command "xyzzy"', 's3lo --help shows all'],
    [['plugin', 'ad', 'x'], 's3lo has no command "plugin"', 'did you mean s3lo plugin add?'],
    [
      ['push', 'a', 'b', '--frce'],
      's3lo push has no option --frce',
      'did you mean --force? s3lo push --help shows all',
    ],
    [['list', '--verbsoe', 'x'], 's3lo list has no option --verbsoe', 'did you mean --verbose?'],
    [['push', 'a', 'b', '--zzz'], 's3lo push has no option --zzz', 's3lo push --help'],
    [['push', 'a'], 's3lo push needs more arguments: s3lo push <image> <ref>', 's3lo push --help'],
    [['list', 'a', 'b'], 's3lo list was given one argument too many: b', 's3lo list --help'],
    [['push', 'a', 'b', '--platform'], '--platform needs a value', 's3lo push --help'],
    [['copy', 'a', 'b', '--prune'], 's3lo copy has no option --prune', 's3lo copy --help'],
    [['--quiet'], '--quiet needs a command to go with', 's3lo --help'],
  ])('%j says what is wrong and what to type', async (argv, message, hint) => {
    const { status, stdout, stderr } = await world.run(argv)
    expect(status).toBe(64)
    expect(stdout).toBe('')
    expect(stderr.startsWith(`error: ${message}\nhint: ${hint}`)).toBe(true)
    expect(stderr.split('\n')).toHaveLength(3)
  })

  it.each([
    [['-o', 'jsn'], 'valid values of --output are text, json, yaml, table'],
    [['--color', 'blue'], 'valid values of --color are auto, always, never'],
    [['--timeout', '5d'], 'durations are hours, minutes and seconds, such as 30s, 5m or 1h30m'],
    [['--timeout', '-5s'], 's3lo list --help'],
    [['--timeout=-5s'], 'durations are hours, minutes and seconds, such as 30s, 5m or 1h30m'],
    [['--endpoint', 'ftp://x'], 'for example --endpoint http://localhost:9000'],
    [['--endpoint', 'localhost:9000'], 'for example --endpoint http://localhost:9000'],
  ])('%j is refused before any work', async (flags, hint) => {
    let listed = false
    const list = () => {
      listed = true
      return Promise.resolve([])
    }
    const { status, stderr } = await world.run(['list', 'mem://b/', ...flags], { host: { list } })
    expect({ status, listed }).toEqual({ status: 64, listed: false })
    expect(stderr).toContain(`hint: ${hint}\n`)
  })

  it('refuses unknown kinds of referrers before any work', async () => {
    const { status } = await world.run(['copy', 'a', 'mem://b/a:1', '--referrers', 'some'], {
      host: {},
    })
    expect(status).toBe(64)
  })

  it('names the package of a command that is not installed', async () => {
    const { status, stderr } = await world.run(['sign', 'mem://b/app:v1', '--key', 'k'])
    expect(status).toBe(69)
    expect(stderr).toContain('hint: s3lo plugin add @s3lo/signing\n')
  })
})

describe('a command of a plugin', () => {
  const greet = defineCommand({
    examples: [['Greet', 's3lo greet you']],
    parameters: {
      who: argument('who'),
      file: option('-o', 'write to `FILE`'),
      loud: flag('-l,--loud', 'in capitals'),
      times: repeatedOption('--time', 'at `TIME`; repeatable'),
    },
    async run({ args: { who, file, loud, times = [] }, host, options, status }) {
      if (who === 'no-one') throw new S3loError('NOT_FOUND', 'the house is empty')
      status(`greeting ${who}`)
      const images = await host.list('mem://b/', options)
      return {
        result: { greeted: who, file: file ?? null, images: images.length, loud, times },
        render: () => `hello ${who}\n`,
        exitCode: 1,
      }
    },
  })
  const contribution = {
    path: ['greet'],
    summary: 'greet a person',
    load: () => Promise.resolve({ default: greet }),
  }
  const plugins = {
    findCommand: ([word]: readonly string[]) =>
      Promise.resolve(word === 'greet' ? contribution : undefined),
    commands: () => Promise.resolve([contribution]),
  }
  const host = { list: () => Promise.resolve([]) }

  it('is run with a host, and prints as our own do', async () => {
    expect(await world.run(['greet', 'you'], { plugins, host })).toMatchObject({
      status: 1,
      stdout: 'hello you\n',
      stderr: 'greeting you\n',
    })
    expect((await world.run(['--help'], { plugins })).stdout).toContain('  greet  greet a person\n')
  })

  it('has the global options wherever they stand', async () => {
    const words = ['greet', '--quiet', '-o', 'json', 'you', '--timeout=30s']
    const { status, stdout, stderr } = await world.run(words, { plugins, host })
    expect([status, JSON.parse(stdout), stderr]).toEqual([
      1,
      { greeted: 'you', file: null, images: 0, loud: false, times: [] },
      '',
    ])
    const wrong = await world.run(['greet', 'you', '--timeout', 'soon'], { plugins, host })
    expect(wrong).toMatchObject({ status: 64, stderr: expect.stringContaining('--timeout') })
  })

  it('may have an -o of its own, for what is no format', async () => {
    const words = ['greet', 'you', '-o', 'a.txt', '-o', 'json']
    const { stdout } = await world.run(words, { plugins, host })
    expect(JSON.parse(stdout)).toMatchObject({ file: 'a.txt' })
  })

  it('says which option it cannot do without', async () => {
    const seal = defineCommand({
      examples: [],
      parameters: { who: argument('who'), key: requiredOption('--key', 'seal with `KEY`') },
      run: ({ args }) => Promise.resolve({ result: args.key, render: () => '' }),
    })
    const sealing = { ...contribution, load: () => Promise.resolve({ default: seal }) }
    const findCommand = () => Promise.resolve(sealing)
    const { status, stderr } = await world.run(['greet', 'you'], {
      plugins: { ...plugins, findCommand },
      host,
    })
    expect([status, stderr]).toEqual([
      64,
      'error: s3lo greet needs --key\nhint: s3lo greet --help\n',
    ])
  })

  it('takes options in every spelling, wherever they stand', async () => {
    const words = ['--time=1', 'greet', '-l', '--time', '2', '-o', 'json', '--', '-you']
    const { stdout } = await world.run(words, { plugins, host })
    expect(JSON.parse(stdout)).toMatchObject({ greeted: '-you', loud: true, times: ['1', '2'] })
  })

  it.each([
    [['--loud=1'], '--loud takes no value'],
    [['--time', '--loud'], '--time needs a value'],
    [['-x'], 's3lo greet has no option -x'],
    [['--o', 'json'], 's3lo greet has no option --o'],
    [['--endpoint'], '--endpoint needs a value'],
    [['--quiet=1'], 's3lo greet has no option --quiet'],
  ])('refuses %j', async (words, message) => {
    const { status, stderr } = await world.run(['greet', 'you', ...words], { plugins, host })
    expect(status).toBe(64)
    expect(stderr).toContain(`error: ${message}\n`)
  })

  it('is refused when it is no definition of a command', async () => {
    class Old {
      execute = (): number => 0
    }
    for (const value of [Old, undefined, {}, { parameters: {}, examples: [] }]) {
      const old = { ...contribution, load: () => Promise.resolve({ default: value }) }
      const { status, stderr } = await world.run(['greet', 'you'], {
        plugins: { ...plugins, findCommand: () => Promise.resolve(old) },
        host,
      })
      expect(status).toBe(69)
      expect(stderr).toContain('error: s3lo greet is no command definition\n')
    }
  })

  it('fails as our own do', async () => {
    const { status, stdout } = await world.run(['greet', 'no-one', '-o', 'json'], { plugins, host })
    expect([status, JSON.parse(stdout)]).toEqual([
      66,
      { error: { code: 'NOT_FOUND', message: 'the house is empty' } },
    ])
    expect(await world.run(['greet'], { plugins, host })).toMatchObject({ status: 64 })
  })

  it('may stand in a group', async () => {
    const grouped = ['create', 'remove'].map((word) => ({
      ...contribution,
      path: ['greet', word],
    }))
    const groups = {
      ...plugins,
      findCommand: () => Promise.resolve(undefined),
      commands: () => Promise.resolve(grouped),
    }
    const overview = await world.run(['greet'], { plugins: groups })
    expect(overview).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('  greet create '),
    })
    expect(await world.run(['greet', 'creat', 'x'], { plugins: groups })).toMatchObject({
      status: 64,
      stderr: expect.stringContaining('hint: did you mean s3lo greet create?\n'),
    })
  })

  it('is helped with as our own are', async () => {
    const { stdout } = await world.run(['greet', '--help'], { plugins, host })
    expect(stdout).toContain('-o FILE')
    expect(stdout).toContain('Options of every command:')
    expect(stdout).toContain('--endpoint URL')
  })
})

describe('suggestions', () => {
  it.each([
    ['push', 'push', 0],
    ['psuh', 'push', 1],
    ['pus', 'push', 1],
    ['abc', 'xyz', 3],
    ['', 'ab', 2],
  ])('measure %s and %s as %i apart', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance)
    expect(editDistance(b, a)).toBe(distance)
  })

  it('take the nearest, and none that is far', () => {
    expect(nearest('insepct', ['list', 'inspect'])).toBe('inspect')
    expect(nearest('hist', ['list', 'history'])).toBe('history')
    expect(nearest('x'.repeat(100), ['x'.repeat(99)])).toBeUndefined()
  })
})
