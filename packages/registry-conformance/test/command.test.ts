import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../src/command.ts'
import { type CheckResult, FEATURES, runConformance, suites } from '../src/index.ts'
import { type MemoryRegistry, startRegistry, USER } from './support/memory-registry.ts'

let registry: MemoryRegistry
let guarded: MemoryRegistry

beforeAll(async () => {
  registry = await startRegistry()
  guarded = await startRegistry({ auth: 'bearer' })
})
afterAll(() => Promise.all([registry.stop(), guarded.stop()]))

async function run(args: readonly string[], input = '') {
  let [stdout, stderr] = ['', '']
  const status = await runCommand(args, {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  })
  return { status, stdout, stderr }
}

describe('the command', () => {
  it('prints each case, what is skipped with its reason, and the counts', async () => {
    const { status, stdout } = await run([
      registry.url,
      '--only',
      'sha256 mount',
      '--without',
      'mount',
    ])
    expect(status).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'skip push blobs/sha256 mount (0 of 1)',
      '       skip declared absent: mount (mounts blobs of another repository)',
      'ok   push blobs/sha256 mount without a repository (10 of 10)',
      'ok   push blobs/sha256 mount of what is not there (7 of 7)',
      '',
      `${registry.url}, version 1.1: 17 passed, 0 failed, 1 skipped`,
      '',
    ])
  })

  it('prints each failure with the requests that led to it, and ends with 1', async () => {
    const { status, stdout } = await run([guarded.url, '--only', 'pull/ping'])
    expect(status).toBe(1)
    expect(stdout).toContain('FAIL GET /v2/ is answered 200: ')
    expect(stdout).toMatch(/GET \/v2\/ -> /)
    expect(stdout).toContain('0 passed, 1 failed')
  })

  it('takes a password from standard input, for Basic and for tokens', async () => {
    const args = [guarded.url, '--only', 'auth/', '--username', USER.username, '--password-stdin']
    const { status, stdout } = await run(args, `${USER.password}\n`)
    expect(stdout).not.toContain(USER.password)
    expect(status).toBe(0)
  })

  it('gives one JSON object for each check', async () => {
    const { stdout } = await run([registry.url, '--json', '--only', 'pull/'])
    const results = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as CheckResult)
    expect(results.length).toBeGreaterThan(30)
    expect(results[0]).toEqual({
      caseName: 'pull/ping',
      name: 'GET /v2/ is answered 200',
      outcome: 'passed',
    })
  })

  it.each([
    [[]],
    [['localhost:5000']],
    [['http://a', 'http://b']],
    [['http://a', '--version', '2']],
    [['http://a', '--without', 'speed']],
    [['http://a', '--tags', 'many']],
    [['http://a', '--username', 'alice']],
    [['http://a', '--unknown']],
  ])('refuses %j with status 2', async (args) => {
    const { status, stderr } = await run(args)
    expect(status).toBe(2)
    expect(stderr).not.toBe('')
  })

  it('names every feature in its help', async () => {
    const { status, stdout } = await run(['--help'])
    expect(status).toBe(0)
    for (const feature of FEATURES) expect(stdout).toContain(`  ${feature} `)
  })
})

describe('the suite', () => {
  it('has no two cases of one name', () => {
    const names = suites.flatMap(({ name, cases }) => cases.map((one) => `${name}/${one.name}`))
    expect(new Set(names).size).toBe(names.length)
  })

  it('has more checks than the official program, and no two of one name in a case', async () => {
    const results: CheckResult[] = []
    for await (const result of runConformance({ url: registry.url, version: 'dev' })) {
      results.push(result)
    }
    const names = results.map(({ caseName, name }) => `${caseName}: ${name}`)
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([])
    expect(results.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(790)
  })

  it('skips what a version does not have, with the reason', async () => {
    const reasons = new Set<string>()
    const underTest = { url: registry.url, version: '1.0' } as const
    for await (const { outcome, reason = '' } of runConformance(underTest, [
      'referrers/',
      'tags/',
    ])) {
      if (outcome === 'skipped') reasons.add(reason)
    }
    expect([...reasons]).toEqual(['version 1.1 has it: referrers (lists referrers)'])
  })
})
