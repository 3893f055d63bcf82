import { existsSync } from 'node:fs'
import { createHost, type Host, isS3loError } from '@s3lo/core'
import { imageFixture, indexFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import plugin from '../src/plugin.ts'
import { StandIn } from './stand-in.ts'

let backend: MemoryBackend
let trivy: StandIn
let host: Host

beforeEach(async () => {
  backend = new MemoryBackend()
  trivy = await StandIn.create()
  host = hostWith({ S3LO_TRIVY: trivy.executable, AWS_SECRET_ACCESS_KEY: 'secret' })
  const amd = imageFixture({ layers: ['shared', 'one'] })
  const arm = imageFixture({ layers: ['shared', 'two'], platform: 'linux/arm64' })
  const index = indexFixture({ 'linux/amd64': amd, 'linux/arm64': arm }, { attestations: true })
  await putImage(backend, { name: 'app', tag: 'v1' }, index)
})
afterEach(() => trivy.remove())

function hostWith(env: Readonly<Record<string, string>>): Host {
  const memory = {
    name: 'memory',
    apiVersion: 1,
    backends: {
      mem: {
        summary: 'memory',
        load: () => Promise.resolve({ openBackend: () => Promise.resolve(backend) }),
      },
    },
  }
  return createHost({ plugins: [memory, plugin], env })
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.catch((reason: unknown) => reason)
  return isS3loError(error) ? `${error.code}: ${error.message}` : String(error)
}

describe('a scan', () => {
  it('gives trivy a whole layout of the one platform, and nothing stays on disk', async () => {
    await trivy.behave({ stdout: 'report\n', stderr: 'INFO busy\n' })
    const result = await host.scan('mem://b/app:v1', { platform: 'linux/arm64' })
    expect(result).toMatchObject({
      ref: 'mem://b/app:v1',
      platform: 'linux/arm64',
      findings: false,
      report: 'report\n',
      scanner: 'trivy',
      format: 'table',
    })
    const { layout, platforms, isWhole } = await trivy.seen()
    expect([platforms, isWhole, existsSync(layout)]).toEqual([['linux/arm64'], true, false])
  })

  it('asks for a status of its own for findings', async () => {
    await trivy.behave({ status: 86, stdout: '{"SchemaVersion":2}' })
    const { findings } = await host.scan('mem://b/app:v1', {
      platform: 'linux/amd64',
      severities: ['HIGH', 'CRITICAL'],
      format: 'json',
    })
    expect(findings).toBe(true)
    const { args, layout } = await trivy.seen()
    expect(args).toEqual([
      'image',
      '--input',
      layout,
      '--no-progress',
      '--format=json',
      '--exit-code=86',
      '--scanners=vuln',
      '--severity=HIGH,CRITICAL',
    ])
  })

  it('gives trivy no credentials of stores', async () => {
    await host.scan('mem://b/app:v1', { platform: 'linux/amd64' })
    const { env } = await trivy.seen()
    expect(Object.keys(env).filter((name) => name.startsWith('AWS_'))).toEqual([])
  })

  it.each([1, 2, 127])(
    'takes status %i for an error of trivy, not for findings',
    async (status) => {
      await trivy.behave({ status, stderr: 'INFO a\nFATAL\tinit error: DB error: no such host\n' })
      expect(await codeOf(host.scan('mem://b/app:v1', { platform: 'linux/amd64' }))).toBe(
        `UNAVAILABLE: trivy could not look into mem://b/app:v1 (status ${status}): FATAL init error: DB error: no such host`,
      )
    },
  )

  it.each([
    ['is killed', { killedBy: 'SIGKILL', stderr: 'scanning\n' }, /^UNAVAILABLE.*SIGKILL.*scanning/],
    ['crashes', { killedBy: 'SIGABRT' }, /^UNAVAILABLE.*SIGABRT/],
    ['says nothing', { stdout: '' }, /^INTEGRITY.*empty/],
    [
      'says half of it',
      { stdout: '{"SchemaVersion":2,"Resul', stderr: 'oops\n' },
      /^INTEGRITY.*oops/,
    ],
    ['says something else', { stdout: '{"a":1}' }, /^INTEGRITY.*SchemaVersion/],
    ['says half of what it found', { status: 86, stdout: '{"Schema' }, /^INTEGRITY/],
  ] as const)('is an error when trivy %s', async (_, behaviour, expected) => {
    await trivy.behave(behaviour)
    const options = { platform: 'linux/amd64', format: 'json' }
    expect(await codeOf(host.scan('mem://b/app:v1', options))).toMatch(expected)
    await backend.put('s3lo.yaml', Buffer.from('policies:\n  - {name: safe, check: scan}\n'))
    const { all_passed: passed, results } = await host.validate('mem://b/app:v1')
    expect([passed, results[0]?.error?.code]).toEqual([
      false,
      expected.source.slice(1).split('.')[0],
    ])
  })

  it('attaches nothing that is no document', async () => {
    const look = { platform: 'linux/amd64', attach: true }
    await trivy.behave({ stdout: '{"bomFormat":' })
    expect(await codeOf(host.sbom('mem://b/app:v1', look))).toMatch(/^INTEGRITY/)
    await trivy.behave({ stdout: '[]' })
    const sarif = host.scan('mem://b/app:v1', { ...look, format: 'sarif' })
    expect(await codeOf(sarif)).toMatch(/^INTEGRITY/)
    const own = await Array.fromAsync(backend.list('.s3lo/repositories/'))
    expect(own.filter(({ key }) => key.includes('/_referrers/'))).toEqual([])
  })

  it('takes an empty table only with a word about it', async () => {
    const look = { platform: 'linux/amd64' }
    await trivy.behave({ stdout: '', stderr: 'INFO Number of language-specific files num=0\n' })
    expect(await host.scan('mem://b/app:v1', look)).toMatchObject({ findings: false })
    await trivy.behave({ stdout: '', stderr: '' })
    expect(await codeOf(host.scan('mem://b/app:v1', look))).toMatch(/^INTEGRITY/)
  })

  it('ends trivy when it is aborted', async () => {
    await trivy.behave({ hangs: true })
    const stopped = new AbortController()
    const reason = new Error('stopped')
    const scanning = host.scan('mem://b/app:v1', {
      platform: 'linux/amd64',
      signal: stopped.signal,
    })
    while (!existsSync(`${trivy.folder}/seen.json`)) await new Promise(setImmediate)
    stopped.abort(reason)
    await expect(scanning).rejects.toBe(reason)
    expect(existsSync((await trivy.seen()).layout)).toBe(false)
  })

  it('attaches the report, once', async () => {
    await trivy.behave({ stdout: '{"runs":[]}' })
    const look = { platform: 'linux/amd64', format: 'sarif', attach: true }
    const { attached, digest } = await host.scan('mem://b/app:v1', look)
    expect((await host.scan('mem://b/app:v1', look)).attached).toBe(attached)
    const { attachments } = await host.inspect(`mem://b/app@${digest}`)
    expect(attachments).toMatchObject([
      { digest: attached, artifact_type: 'application/sarif+json' },
    ])
  })

  it('refuses what cannot be: before trivy is run', async () => {
    const look = (options: object): Promise<string> =>
      codeOf(host.scan('mem://b/app:v1', { platform: 'linux/amd64', ...options }))
    expect(await look({ format: 'xml' })).toMatch(/^USAGE: "xml"/)
    expect(await look({ attach: true })).toMatch(/^USAGE: a report in the format table/)
    expect(await look({ platform: 'linux/s390x' })).toMatch(/^NOT_FOUND/)
    expect(await codeOf(host.scan('mem://b/app:v2'))).toMatch(/^NOT_FOUND/)
    expect(existsSync(`${trivy.folder}/seen.json`)).toBe(false)
  })
})

describe('an SBOM', () => {
  it('is what trivy writes', async () => {
    await trivy.behave({ stdout: '{"bomFormat":"CycloneDX"}' })
    const result = await host.sbom('mem://b/app:v1', { platform: 'linux/amd64', attach: true })
    expect(result).toMatchObject({ sbom: '{"bomFormat":"CycloneDX"}', format: 'cyclonedx' })
    expect((await trivy.seen()).args.slice(4)).toEqual(['--format=cyclonedx'])
    const { attachments } = await host.inspect(`mem://b/app@${result.digest}`)
    expect(attachments).toMatchObject([{ artifact_type: 'application/vnd.cyclonedx+json' }])
  })

  it('that trivy cannot make is an error', async () => {
    await trivy.behave({ status: 1 })
    expect(await codeOf(host.sbom('mem://b/app:v1', { platform: 'linux/amd64' }))).toMatch(
      /^UNAVAILABLE.*it said nothing/,
    )
    expect(await codeOf(host.sbom('mem://b/app:v1', { format: 'json' }))).toMatch(/^USAGE/)
  })
})

describe('trivy', () => {
  it('is found on PATH, but never in a relative folder of it', async () => {
    host = hostWith({ PATH: `:.:bin:${trivy.folder}`, HOME: '/nowhere' })
    await host.scan('mem://b/app:v1', { platform: 'linux/amd64' })
    expect((await trivy.seen()).isWhole).toBe(true)
  })

  it('that is missing is an error that says how to get it', async () => {
    host = hostWith({ PATH: '', HOME: '/nowhere' })
    await expect(host.scan('mem://b/app:v1')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('--install-trivy'),
    })
  })

  it('that is named and not there is not looked for elsewhere', async () => {
    host = hostWith({ PATH: trivy.folder })
    const settings = { trivyPath: '/nowhere/trivy' }
    await expect(host.scan('mem://b/app:v1', { settings })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: '/nowhere/trivy is no program that can be run',
    })
  })
})

describe('the check scan of a policy', () => {
  it('asks about every platform and counts what is as bad or worse', async () => {
    await backend.put(
      's3lo.yaml',
      Buffer.from('policies:\n  - name: safe\n    check: scan\n    max_severity: high\n'),
    )
    expect(await host.validate('mem://b/app:v1')).toMatchObject({ all_passed: true })
    expect((await trivy.seen()).args.at(-1)).toBe('--severity=HIGH,CRITICAL')
    await trivy.behave({ status: 86 })
    const { all_passed: passed, results } = await host.validate('mem://b/app:v1')
    expect([passed, results[0]?.message?.match(/sha256:/g)?.length]).toEqual([false, 2])
    await trivy.behave({ status: 1 })
    expect(await host.validate('mem://b/app:v1')).toMatchObject({
      all_passed: false,
      results: [{ name: 'safe', passed: false, error: { code: 'UNAVAILABLE' } }],
    })
  })
})
