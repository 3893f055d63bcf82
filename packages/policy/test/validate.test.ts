import {
  createHost,
  type Host,
  isS3loError,
  type PolicyRule,
  type PolicySubject,
  type ProgressEvent,
} from '@s3lo/core'
import {
  FixtureSource,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '@s3lo/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { checkAge } from '../src/index.ts'
import plugin from '../src/plugin.ts'

const DAY_MS = 86_400_000

let backend: MemoryBackend
let host: Host
const image = imageFixture({ layers: ['12345', 'abc'] })

beforeEach(async () => {
  backend = new MemoryBackend()
  const memory = {
    name: 'memory',
    apiVersion: 1,
    backends: {
      mem: {
        summary: 'memory',
        load: () => Promise.resolve({ openBackend: () => Promise.resolve(backend) }),
      },
    },
    sources: {
      fix: {
        summary: 'fixtures',
        load: () =>
          Promise.resolve({
            openSource: () =>
              Promise.resolve({
                source: new FixtureSource({ 'app:v1': image }),
                reference: { name: 'app', tag: 'v1' },
              }),
          }),
      },
    },
    policyChecks: {
      owner: {
        summary: 'a check from elsewhere',
        load: () =>
          Promise.resolve({
            checkPolicy: ({ parameters }: PolicyRule, { name }: PolicySubject) =>
              Promise.resolve({ passed: name.includes(String(parameters?.['team'])) }),
          }),
      },
    },
  }
  host = createHost({ plugins: [memory, plugin], env: {} })
  await host.push('fix:app:v1', 'mem://b/team/app:v1')
})

const configure = (...lines: readonly string[]): Promise<unknown> =>
  backend.put('s3lo.yaml', Buffer.from(['policies:', ...lines].join('\n')))

async function failure(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.catch((reason: unknown) => reason)
  return isS3loError(error) ? `${error.code}: ${error.message}` : String(error)
}

describe('the policies of a bucket', () => {
  it('that has none let everything pass', async () => {
    expect(await host.validate('mem://b/team/app:v1')).toEqual({
      reference: 'mem://b/team/app:v1',
      results: [],
      all_passed: true,
    })
  })

  it('are asked in the order of the file, and each is answered', async () => {
    await configure(
      '  - {name: small, check: size, max_bytes: 1}',
      '  - {name: fresh, check: age, max_days: 30}',
      '  - {check: owner, team: team}',
    )
    const { results, all_passed: passed } = await host.validate('mem://b/team/app:v1')
    expect(passed).toBe(false)
    expect(results).toEqual([
      {
        name: 'small',
        check: 'size',
        passed: false,
        message: expect.stringMatching(/^\d+ bytes, the limit is 1$/),
      },
      { name: 'fresh', check: 'age', passed: true },
      { name: 'owner', check: 'owner', passed: true },
    ])
  })

  it('may be about some images only', async () => {
    await configure(
      '  - {name: tiny, check: size, max_bytes: 1, images: [other, "web/*"]}',
      '  - {name: ours, check: size, max_bytes: 1, images: ["team/*"]}',
    )
    const { results } = await host.validate('mem://b/team/app:v1')
    expect(results.map(({ name }) => name)).toEqual(['ours'])
  })

  it('that cannot answer are errors of their own, never a pass, and end no other', async () => {
    await configure(
      '  - {name: ours, check: signed, key_ref: k}',
      '  - {name: unlimited, check: size}',
      '  - {name: tiny, check: size, max_bytes: 1}',
      '  - {name: mine, check: owner, team: team}',
    )
    const { results, all_passed: passed } = await host.validate('mem://b/team/app:v1')
    expect(passed).toBe(false)
    expect(results).toMatchObject([
      { name: 'ours', passed: false, error: { code: 'PLUGIN_NOT_INSTALLED' } },
      { name: 'unlimited', passed: false, error: { code: 'USAGE' } },
      { name: 'tiny', passed: false },
      { name: 'mine', passed: true },
    ])
    expect(results.map(({ error }) => error !== undefined)).toEqual([true, true, false, false])
  })

  it('that cannot answer keep an image from being published, with what they say', async () => {
    await configure('  - {name: ours, check: signed, key_ref: k}')
    const options = { validate: true }
    expect(await failure(host.push('fix:app:v1', 'mem://b/team/app:v2', options))).toMatch(
      /^PLUGIN_NOT_INSTALLED: mem:\/\/b\/team\/app:v2 is not published: there is no answer of ours/,
    )
    await configure(
      '  - {name: ours, check: signed, key_ref: k}',
      '  - {name: tiny, check: size, max_bytes: 1}',
    )
    expect(await failure(host.push('fix:app:v1', 'mem://b/team/app:v2', options))).toMatch(
      /^FORBIDDEN/,
    )
  })

  it.each([
    ['{name: a, check: size}', 'USAGE: policy a: the check size needs max_bytes'],
    ['{name: a, check: age}', 'USAGE: policy a: the check age needs max_days'],
  ])('that lack a limit (%s) are an error', async (rule, message) => {
    await configure(`  - ${rule}`)
    const { results } = await host.validate('mem://b/team/app:v1')
    expect(results.map(({ error }) => `${error?.code}: ${error?.message}`)).toEqual([message])
  })

  it.each([
    ['{name: a}', 'line 3: policies[1] names no check'],
    ['{check: scan, max_severity: awful}', 'line 3: policies[1].max_severity is none of UNKNOWN'],
    ['{check: size, max_bytes: -1}', 'line 3: policies[1].max_bytes is "-1"'],
    ['{check: size, images: ["[a"]}', 'line 3: policies[1].images[0] is "[a", not the name'],
  ])('that are malformed (%s) are an error with a line', async (rule, message) => {
    await configure('  - {check: owner, team: team}', `  - ${rule}`)
    expect(await failure(host.validate('mem://b/team/app:v1'))).toContain(message)
  })

  it('are not passed by an image that cannot be read', async () => {
    const arm = imageFixture({ layers: ['x'], platform: 'linux/arm64' })
    const index = indexFixture({ 'linux/amd64': image, 'linux/arm64': arm })
    await putImage(backend, { name: 'broken', tag: 'v1' }, index)
    await backend.delete([`blobs/sha256/${arm.root.descriptor.digest.slice(7)}`])
    await configure('  - {check: size, max_bytes: 1000000}')
    const { results } = await host.validate('mem://b/broken:v1')
    expect(results).toMatchObject([{ passed: false, error: { code: 'NOT_FOUND' } }])
  })
})

describe('the age of an image', () => {
  const now = new Date('2026-03-01T00:00:00Z')
  const subject = (publishedAt: Date | undefined): PolicySubject =>
    ({ publishedAt }) as Partial<PolicySubject> as PolicySubject
  it.each([
    [0, 0, true],
    [0, DAY_MS - 1, true],
    [0, DAY_MS, false],
    [30, 31 * DAY_MS - 1, true],
    [30, 31 * DAY_MS, false],
    [30, -DAY_MS, true],
  ])('limit %i, %i ms old: %s', async (maxDays, age, passed) => {
    const rule = { name: 'fresh', check: 'age', maxDays }
    const published = subject(new Date(now.getTime() - age))
    const verdict = await checkAge(rule, published, { now, env: {}, settings: {} })
    expect(verdict.passed).toBe(passed)
  })

  it('that is not recorded fails', async () => {
    const verdict = await checkAge({ name: 'f', check: 'age', maxDays: 1 }, subject(undefined), {
      now,
      env: {},
      settings: {},
    })
    expect(verdict).toEqual({ passed: false, message: 'no push of this tag is recorded' })
  })
})

describe('a push or copy that validates', () => {
  it('publishes what passes', async () => {
    await configure('  - {check: size, max_bytes: 1000000}', '  - {check: age, max_days: 0}')
    await host.push('fix:app:v1', 'mem://b/team/app:v2', { validate: true })
    await host.copy('mem://b/team/app:v1', 'mem://b/team/app:v3', { validate: true })
    expect(await host.list('mem://b/')).toEqual([{ name: 'team/app', tags: ['v1', 'v2', 'v3'] }])
  })

  it.each([
    ['there is none', []],
    ['none is about the image', ['  - {check: size, max_bytes: 1000000, images: [other]}']],
  ])('fails before it moves anything where %s, unless that is allowed', async (_, rules) => {
    await configure(...rules)
    const before = await host.stats('mem://b/')
    const options = { validate: true }
    expect(await failure(host.push('fix:app:v1', 'mem://b/new/app:v2', options))).toMatch(
      /^FORBIDDEN/,
    )
    const to = 'mem://b/new/app:v2'
    expect(await failure(host.copy('fix:app:v1', to, options))).toMatch(/^FORBIDDEN/)
    expect(await failure(host.copyTags('mem://b/team/app', 'mem://b/new/app', options))).toMatch(
      /^FORBIDDEN/,
    )
    expect(await host.stats('mem://b/')).toEqual(before)
    await host.push('fix:app:v1', to, { ...options, allowNoPolicies: true })
    expect(await host.list('mem://b/new')).toEqual([{ name: 'new/app', tags: ['v2'] }])
  })

  it('is what every push is, for policies that are enforced', async () => {
    await configure(
      '  - {name: tiny, check: size, max_bytes: 1, enforce: push, images: [strict/*]}',
      '  - {name: small, check: size, max_bytes: 2, enforce: warn}',
      '  - {name: asked, check: size, max_bytes: 3}',
    )
    const notices: string[] = []
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'notice') notices.push(event.message)
    }
    await host.push('fix:app:v1', 'mem://b/team/app:v2', { onProgress })
    expect(notices).toEqual([expect.stringMatching(/^team\/app:v2 fails the policy small \(/)])
    const denied =
      /^FORBIDDEN: mem:\/\/b\/strict\/app:v1 is not published: it fails tiny \([^,]*, [^,]*$/
    const to = 'mem://b/strict/app:v1'
    expect(await failure(host.push('fix:app:v1', to))).toMatch(denied)
    expect(await failure(host.copy('mem://b/team/app:v1', to))).toMatch(denied)
    expect(await host.list('mem://b/strict')).toEqual([])
  })

  it('writes no tag for what fails', async () => {
    await configure('  - {name: tiny, check: size, max_bytes: 1}')
    expect(
      await failure(host.push('fix:app:v1', 'mem://b/team/app:v2', { validate: true })),
    ).toMatch(/^FORBIDDEN: mem:\/\/b\/team\/app:v2 is not published: it fails tiny \(\d+ bytes/)
    const copying = host.copy('mem://b/team/app:v1', 'mem://b/team/app:v2', { validate: true })
    expect(await failure(copying)).toMatch(/^FORBIDDEN/)
    const all = await host.copyTags('mem://b/team/app', 'mem://b/other/app', { validate: true })
    expect(JSON.stringify(all)).toContain('mem://b/other/app:v1 is not published')
    expect(await host.list('mem://b/')).toEqual([{ name: 'team/app', tags: ['v1'] }])
  })
})
