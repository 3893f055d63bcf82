import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import localPlugin from '@s3lo/backend-local/plugin'
import { createHost, type Host } from '@s3lo/core'
import { imageFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MemoryWorld, type RunResult } from './run-cli.ts'

const CONFIG = `# Ours.
default:
  immutable: false # for now
  lifecycle: {keep_last: 3}
images:
  dev/*:
    lifecycle:
      max_age: 7d
  dev/app:
    immutable: true
`

let world: MemoryWorld
let folder: string

beforeEach(async () => {
  world = new MemoryWorld()
  folder = await mkdtemp(join(tmpdir(), 's3lo-maintenance-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Backends are objects that tests share: what they hold is the store. */
async function put(name: string, tag: string, layers: readonly string[] = ['a', 'bc']) {
  return putImage(world.bucket('b'), { name, tag }, imageFixture({ layers: [...layers] }))
}

async function configure(text: string): Promise<void> {
  await world.bucket('b').put('s3lo.yaml', Buffer.from(text))
}

async function configured(): Promise<string> {
  const { body } = await world.bucket('b').get('s3lo.yaml')
  return Buffer.concat(await body.toArray()).toString()
}

function documentOf({ stdout }: RunResult): Record<string, unknown> {
  const parsed: unknown = JSON.parse(stdout)
  if (typeof parsed !== 'object' || parsed === null) throw new Error('no document')
  return parsed as Record<string, unknown>
}

async function fieldsOf(...argv: readonly string[]): Promise<readonly string[]> {
  return Object.keys(documentOf(await world.run([...argv, '-o', 'json'])))
}

describe('config get', () => {
  it('shows what a store sets, scope by scope', async () => {
    await configure(CONFIG)
    expect(await world.run(['config', 'get', 'memory://b/'])).toEqual({
      status: 0,
      stderr: '',
      stdout: [
        'Bucket: memory://b/',
        'Default:',
        '  immutable:                    false',
        '  lifecycle.keep_last:          3',
        'Images:',
        '  dev/*:',
        '    lifecycle.max_age:            7d',
        '  dev/app:',
        '    immutable:                    true',
        '',
      ].join('\n'),
    })
  })

  it('shows what holds for an image, each value with its true source', async () => {
    await configure(CONFIG)
    expect((await world.run(['config', 'get', 'memory://b/dev/web'])).stdout).toBe(
      [
        'Image: dev/web (memory://b/dev/web)',
        '  immutable:                    false [default]',
        '  lifecycle.keep_last:          3 [default]',
        '  lifecycle.max_age:            7d [glob dev/*]',
        '',
      ].join('\n'),
    )
    const own = await world.run(['config', 'get', 'memory://b/dev/app'])
    expect(own.stdout).toContain('immutable:                    true [image]\n')
    expect(own.stdout).not.toContain('max_age')
  })

  it('says that nothing is set where there is no file', async () => {
    const { stdout } = await world.run(['config', 'get', 'memory://b/'])
    expect(stdout).toBe('Bucket: memory://b/\nDefault:\n  (none)\n')
    expect(documentOf(await world.run(['config', 'get', 'memory://b/', '-o', 'json']))).toEqual({
      default: {},
    })
  })

  it('names the line of what is not valid', async () => {
    await configure('default:\n  immutable: maybe\n')
    const { status, stderr } = await world.run(['config', 'get', 'memory://b/'])
    expect(status).toBe(65)
    expect(stderr).toMatch(/^error: .*line 2/)
  })
})

describe('config set and remove', () => {
  it('change their keys and leave everything else as it was', async () => {
    await configure(CONFIG)
    const set = await world.run(['config', 'set', 'memory://b/', 'immutable=true'])
    expect(set).toEqual({ status: 0, stdout: '', stderr: 'Config updated for memory://b/\n' })
    expect(await configured()).toBe(CONFIG.replace('immutable: false', 'immutable: true'))
    const removed = await world.run(['config', 'remove', 'memory://b/dev/app'])
    expect(removed.stderr).toBe(
      'Removed all config overrides for memory://b/dev/app\n' +
        'note: lifecycle.max_age is now 7d for memory://b/dev/app, and was not set\n',
    )
    expect(await configured()).not.toContain('dev/app')
    expect(await configured()).toContain('# for now')
  })

  it('say so when there was nothing to do', async () => {
    await configure(CONFIG)
    const set = await world.run(['config', 'set', 'memory://b/dev/app', 'immutable=1'])
    expect(set.stderr).toBe('Config of memory://b/dev/app says so already\n')
    const removed = await world.run(['config', 'remove', 'memory://b/web', 'lifecycle'])
    expect(removed).toEqual({
      status: 0,
      stdout: '',
      stderr: 'No overrides found for memory://b/web\n',
    })
  })

  it('unset one key of a glob', async () => {
    await configure(CONFIG)
    const argv = ['config', 'remove', 'memory://b/dev/*', 'lifecycle.max_age']
    const { stderr } = await world.run(argv)
    expect(stderr).toBe('Removed lifecycle.max_age override for memory://b/dev/*\n')
    expect(await configured()).not.toContain('dev/*')
  })

  it('refuse what is no setting before anything is written', async () => {
    const { status, stderr } = await world.run(['config', 'set', 'memory://b/', 'immutible=true'])
    expect(status).toBe(64)
    expect(stderr).toContain('hint: the settings are immutable, lifecycle.keep_last')
    expect(await world.bucket('b').head('s3lo.yaml')).toBeUndefined()
  })

  it('say what a store without compare-and-swap cannot promise', async () => {
    const weak = { createOnly: false, compareAndSwap: false, deadlines: false }
    world.buckets.set('b', new MemoryBackend({ bucket: 'b', guarantees: weak }))
    const { stderr } = await world.run(['config', 'set', 'memory://b/', 'immutable=true'])
    expect(stderr).toContain('note: this store cannot refuse an edit that is overtaken')
  })

  it('make the tags of an image immutable for push and delete', async () => {
    await put('app', 'v1')
    await world.run(['config', 'set', 'memory://b/app', 'immutable=true'])
    expect((await world.run(['delete', 'memory://b/app:v1'])).status).toBe(73)
    world.images['app:latest'] = imageFixture({ layers: ['new'] })
    expect((await world.run(['push', 'fix:app', 'memory://b/app:v1'])).status).toBe(73)
  })
})

describe('config recommend', () => {
  it('advises retention where none is set, and a nightly clean where it is', async () => {
    const without = await world.run(['config', 'recommend', 'memory://b/'])
    expect(without.status).toBe(0)
    expect(without.stdout).toContain('[bad]  no retention is set')
    expect(without.stdout).toContain('s3lo config set memory://b/ lifecycle.keep_last=10')
    await configure(CONFIG)
    const { stdout } = await world.run(['config', 'recommend', 'memory://b/'])
    expect(stdout).toContain('[good] retention is set in s3lo.yaml\n')
    expect(stdout).toContain('1. clean every night\n')
  })
})

describe('init', () => {
  it('writes settings into an empty store and never over others', async () => {
    const first = await world.run(['init', 'memory://b/'])
    expect(first.status).toBe(0)
    expect(first.stdout).toContain('✓ s3lo.yaml was written')
    expect(first.stderr).toContain('Next: s3lo push app:v1 memory://b/app:v1\n')
    await configure(CONFIG)
    const again = await world.run(['bucket', 'init', 'memory://b/'])
    expect(again.stdout).toContain('✓ s3lo.yaml is there (left as it is)')
    expect(await configured()).toBe(CONFIG)
  })

  it('makes a store of a directory that is not there yet', async () => {
    const root = join(folder, 'deep/store')
    const local = createHost({ plugins: [localPlugin] })
    const host: Partial<Host> = { init: (store, options) => local.init(store, options) }
    const first = await world.run(['init', '--local', root, '-o', 'json'], { host })
    expect(documentOf(first)).toMatchObject({ bucket: root, config_wrote: true })
    expect(existsSync(join(root, 'blobs/sha256'))).toBe(true)
    expect(await readFile(join(root, 's3lo.yaml'), 'utf8')).toContain('keep_last: 10')
    const again = await world.run(['init', '--local', root], { host })
    expect(again.stderr).toContain(`s3lo push app:v1 local://${root}//app:v1\n`)
    expect(
      documentOf(await world.run(['init', `local://${root}//`, '-o', 'json'], { host })),
    ).toMatchObject({ config_wrote: false })
  })

  it('demands either a store or a directory', async () => {
    expect((await world.run(['init'])).status).toBe(64)
    expect((await world.run(['init', 'memory://b/', '--local', folder])).status).toBe(64)
    expect((await world.run(['init', '--local', ''])).status).toBe(64)
    expect((await world.run(['init', 'memory://b/app'])).status).toBe(64)
  })
})

describe('stats', () => {
  it('counts and estimates, and says how old the prices are', async () => {
    await put('app', 'v1')
    await put('app', 'v2')
    const { stdout, status } = await world.run(['stats', 'memory://b/'])
    expect(status).toBe(0)
    const lines = stdout.split('\n')
    expect(lines.slice(0, 4)).toEqual([
      'Bucket: memory://b/',
      '',
      'Images:       1',
      'Tags:         2',
    ])
    expect(lines[4]).toMatch(/^Storage: {6}\d+ B across 3 unique blobs$/)
    expect(lines[5]).toMatch(/^Dedup savings: \d+ B \(50\.0% — without dedup: \d+ B\)$/)
    expect(stdout).toContain('Estimated cost (prices of 2026-03):\n')
    expect(stdout).toContain('  S3 (current):   < $0.01/month\n')
    expect((await world.run(['bucket', 'stats', 'memory://b/'])).stdout).toBe(stdout)
  })

  it('takes prices from a file', async () => {
    await put('app', 'v1', ['x'.repeat(100_000)])
    const path = join(folder, 'prices.json')
    await writeFile(path, '{"as_of":"2026-09","currency":"EUR","s3_gib_month":1000000}')
    const { stdout } = await world.run(['stats', 'memory://b/', '--prices', path])
    expect(stdout).toContain('(prices of 2026-09)')
    expect(stdout).toMatch(/S3 \(current\): {3}EUR \d+\.\d\d\/month/)
    expect((await world.run(['stats', 'memory://b/', '--prices', `${path}x`])).status).toBe(66)
  })

  it('shows which tags share which layers', async () => {
    await put('app', 'v1', ['shared', 'one'])
    await put('web', 'v1', ['shared'])
    const { stdout } = await world.run(['stats', 'memory://b/', '--layers'])
    const [header, first] = stdout.split('\n')
    expect(header).toBe('LAYER                SIZE        TAGS   SHARED BY')
    expect(first).toMatch(/^sha256:[0-9a-f]{12} {2}6 B {9}2 {6}app:v1, web:v1$/)
    expect(stdout).toContain(
      '2 unique layers across 2 tags · 9 B stored · 15 B logical · 40% saved',
    )
    expect((await world.run(['stats', 'memory://empty/', '--layers'])).stdout).toBe(
      'No layers found.\n',
    )
    expect((await world.run(['stats', 'memory://b/', '--layers', '--prices', 'x'])).status).toBe(64)
  })
})

describe('doctor', () => {
  it('finds a whole store whole, and says what is optional', async () => {
    await put('app', 'v1')
    const { status, stdout } = await world.run(['doctor', 'memory://b/'])
    expect(status).toBe(0)
    expect(stdout.split('\n').slice(0, 6)).toEqual([
      'Checking bucket: memory://b',
      '',
      'Checking layout structure...    OK',
      'Checking config (s3lo.yaml)...  not configured (optional)',
      'Checking manifest integrity...  OK',
      'Checking for orphaned blobs...  none',
    ])
    expect(stdout).toContain('✓ the store enforces create-only writes\n')
    expect((await world.run(['bucket', 'doctor', 'memory://b/'])).status).toBe(0)
  })

  it('names the missing blob of a broken image, with what to type, and exits with 1', async () => {
    await put('app', 'v1')
    await put('web', 'v1', ['zz'])
    const keys = (await Array.fromAsync(world.bucket('b').list('blobs/'))).filter(
      ({ size }) => size === 1,
    )
    await world.bucket('b').delete(keys.map(({ key }) => key))
    const { status, stdout } = await world.run(['doctor', 'memory://b/'])
    expect(status).toBe(1)
    expect(stdout).toContain('Checking manifest integrity...  1 issue(s)\n')
    expect(stdout).toMatch(/ {2}✗ app:v1 — missing layer sha256:[0-9a-f]{64} \(1 bytes\)/)
    expect(stdout).toContain('s3lo delete memory://b/app:v1\n')
    expect(stdout.match(/missing layer/g)).toHaveLength(1)
    expect((await world.run(['doctor', 'memory://b/web/'])).status).toBe(0)
  })

  it('reads all content again when it is asked to', async () => {
    await put('app', 'v1')
    const { stdout, status } = await world.run(['doctor', 'memory://b/', '--deep'])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^Hashing content again\.\.\. {8}3 blobs \(\d+ B\)$/m)
    const blobs = await Array.fromAsync(world.bucket('b').list('blobs/'))
    const damaged = blobs.find(({ size }) => size === 1)
    if (!damaged) throw new Error('no layer of one byte')
    await world.bucket('b').put(damaged.key, Buffer.from('!'))
    expect((await world.run(['doctor', 'memory://b/'])).status).toBe(0)
    const deep = await world.run(['doctor', 'memory://b/', '--deep'])
    expect(deep.status).toBe(1)
    expect(deep.stdout).toContain('app:v1 — damaged layer sha256:')
  })

  it('has a verdict on settings that are not valid and on a place that is no store', async () => {
    expect((await world.run(['doctor', 'memory://b/'])).status).toBe(1)
    await put('app', 'v1')
    await configure('default: [')
    const { status, stdout } = await world.run(['doctor', 'memory://b/'])
    expect(status).toBe(1)
    expect(stdout).toContain('Checking config (s3lo.yaml)...  issues found\n')
  })
})

describe('documents hold every field that scripts know', () => {
  beforeEach(async () => {
    await put('app', 'v1')
    await put('app', 'v2')
    await configure(`${CONFIG}chunked: true\nchunk_format: 1\npolicies: [{name: a, check: age}]\n`)
  })

  it.each([
    [
      ['stats', 'memory://b/'],
      [
        'images',
        'tags',
        'unique_blobs',
        'blob_bytes',
        'logical_bytes',
        'storage_by_class',
        'cost',
        'chunks',
        'chunk_bytes',
        'dedup_savings',
        'dedup_percent',
      ],
    ],
    [
      ['stats', 'memory://b/', '--layers'],
      ['tags', 'layers', 'stored_bytes', 'logical_bytes'],
    ],
    [
      ['doctor', 'memory://b/'],
      [
        'bucket',
        'scheme',
        'layout_ok',
        'config_ok',
        'config_present',
        'orphaned_blobs',
        'orphaned_bytes',
      ],
    ],
    [
      ['config', 'get', 'memory://b/'],
      ['default', 'images', 'policies', 'chunked', 'chunk_format'],
    ],
    [
      ['config', 'get', 'memory://b/dev/app'],
      ['immutable', 'lifecycle'],
    ],
    [
      ['init', 'memory://b/'],
      ['bucket', 'checks', 'config_wrote'],
    ],
    [
      ['config', 'recommend', 'memory://b/'],
      ['bucket', 'findings', 'recommendations'],
    ],
  ])('of %j', async (argv, fields) => {
    expect(await fieldsOf(...argv)).toEqual(expect.arrayContaining(fields))
  })

  it('of nested records too', async () => {
    const { cost } = documentOf(await world.run(['stats', 'memory://b/', '-o', 'json']))
    expect(Object.keys(cost as object)).toEqual([
      's3_monthly',
      's3_no_dedup_monthly',
      'ecr_monthly',
      'savings_vs_ecr',
      'savings_pct',
    ])
    const sharing = documentOf(await world.run(['stats', 'memory://b/', '--layers', '-o', 'json']))
    const layers = sharing['layers'] as readonly object[]
    expect(Object.keys(layers[0] ?? {})).toEqual(['digest', 'size', 'tags'])
    const { checks } = documentOf(await world.run(['init', 'memory://b/', '-o', 'json']))
    expect((checks as readonly object[])[0]).toMatchObject({ label: expect.any(String), ok: true })
    const advice = documentOf(await world.run(['config', 'recommend', 'memory://b/', '-o', 'json']))
    expect(advice).toMatchObject({
      findings: expect.arrayContaining([{ label: expect.any(String), ok: true }]),
      recommendations: [{ title: expect.any(String), description: expect.any(String) }],
    })
    const keys = (await Array.fromAsync(world.bucket('b').list('blobs/'))).map(({ key }) => key)
    await world.bucket('b').delete(keys)
    const broken = documentOf(await world.run(['doctor', 'memory://b/', '-o', 'json']))
    expect((broken['manifest_issues'] as readonly object[])[0]).toMatchObject({
      image: 'app:v1',
      message: expect.any(String),
    })
    expect(broken).toMatchObject({ broken: true, ok: false, scheme: 'memory://', bucket: 'b' })
  })
})
