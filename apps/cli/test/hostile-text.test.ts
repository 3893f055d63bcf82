import type { Host } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { MemoryWorld } from './run-cli.ts'

/** Set the title, clear the screen by C1, turn the text around, and begin a line. */
const HOSTILE = '\u001b]0;owned\u0007\u009b2J\u202e\u2028\r'

/** What no text for people and no document may have. */
const OBEYED = /(?![\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

const DIGEST = `sha256:${'1'.repeat(64)}`
const TIME = '2026-04-12T14:30:00Z'
const layer = { digest: DIGEST, size: 1, media_type: 'm' }
const config = {
  user: 'u',
  working_dir: '/',
  entrypoint: ['e'],
  cmd: ['c'],
  ports: ['80/tcp'],
  volumes: ['/v'],
  stop_signal: 'TERM',
  env: ['A=b'],
  labels: { 'label-name': 'value' },
}
const image = { digest: DIGEST, layers: [layer], total_size: 1, created: TIME, config }
const inspected = {
  ...image,
  reference: 'mem://b/app:v1',
  media_type: 'm',
  signatures: [{ key_id: 'k', key_ref: 'r', signed_at: 't' }],
  attachments: [{ digest: DIGEST, artifact_type: 'a', size: 1 }],
}
const platforms = [
  { ...image, platform: 'linux/amd64' },
  { digest: DIGEST, platform: '(attestation)', total_size: 1, attestation_for: 'x' },
]
const artifacts = [{ digest: DIGEST, artifact_type: 'a', platform: 'linux/amd64', size: 1 }]
const copied = {
  digest: DIGEST,
  bytes: 1,
  blobs_copied: 1,
  blobs_skipped: 0,
  bytes_copied: 1,
  platforms: 2,
  foreign_layers: 0,
  referrers_copied: 1,
  referrers_dropped: [],
  signatures_dropped: 1,
  verified_digest: DIGEST,
}
const failure = { code: 'FORBIDDEN', message: 'm', hint: 'h' }
const finding = { severity: 'problem', message: 'm', hint: 'h' }
const moved = {
  ...copied,
  ref: 'r',
  blobs_uploaded: 1,
  bytes_uploaded: 1,
  verified_digest: DIGEST,
}

/** Each command with what its operation answers. */
const COMMANDS: readonly (readonly [line: string, operation: keyof Host, answer: unknown])[] = [
  ['list mem://b/', 'list', [{ name: 'app', tags: ['v1'] }]],
  ['inspect mem://b/app:v1', 'inspect', { ...inspected, is_index: false }],
  ['inspect mem://b/app:v1', 'inspect', { ...inspected, is_index: true, platforms, artifacts }],
  [
    'history mem://b/',
    'history',
    {
      of: 'store',
      rows: [{ name: 'app', tags: 1, last_pushed_at: 'then', total_size_bytes: 1 }],
    },
  ],
  [
    'history mem://b/app',
    'history',
    {
      of: 'image',
      image: 'app',
      rows: [{ tag: 'v1', pushed_at: 'then', digest: DIGEST, size_bytes: 1 }],
    },
  ],
  [
    'stats mem://b/ --layers',
    'layerSharing',
    {
      tags: ['app:v1'],
      layers: [{ digest: '1', size: 1, tags: ['app:v1'] }],
      stored_bytes: 1,
      logical_bytes: 2,
      saved_percent: 50,
      unreadable_tags: 0,
    },
  ],
  [
    'stats mem://b/',
    'stats',
    {
      images: 1,
      tags: 1,
      unique_blobs: 1,
      blob_bytes: 1,
      chunks: 0,
      chunk_bytes: 0,
      logical_bytes: 1,
      dedup_savings: 0,
      dedup_percent: 0,
      storage_by_class: { STANDARD: 1, COLD: 1 },
      cost: {
        s3_monthly: 1,
        s3_no_dedup_monthly: 1,
        ecr_monthly: 2,
        savings_vs_ecr: 1,
        savings_pct: 1,
      },
      prices: { currency: 'EUR', as_of: 'then' },
      unreadable_tags: 0,
    },
  ],
  [
    'doctor mem://b/',
    'doctor',
    {
      bucket: 'b',
      scheme: 'mem://',
      manifest_issues: [{ image: 'app:v1', message: 'm', hint: 'h' }],
      findings: [finding],
      orphaned_blobs: 0,
      orphaned_bytes: 0,
    },
  ],
  [
    'clean mem://b/ --explain',
    'clean',
    {
      ref: 'mem://b/',
      dry_run: true,
      tags_evaluated: 1,
      tags_deleted: 1,
      deleted: 1,
      freed_bytes: 1,
      freed_monthly: 0,
      skipped_recent: 1,
      skipped_pinned: 1,
      undated: [{ image: 'app:v1', message: 'm' }],
      unreadable: [{ image: 'app:v1', message: 'm' }],
      failed: [{ key: 'k', message: 'm' }],
      tags: [{ image: 'app', tag: 'v1', written_at: 't', keep: true, rule: 'r', reason: 'r' }],
      objects: [{ key: 'k', size: 1, outcome: 'recent' }],
    },
  ],
  ['copy mem://b/app:v1 mem://c/app:v1', 'copy', copied],
  ['copy mem://b/app:v1 mem://c/app:v1 --dry-run', 'copy', { ...copied, dry_run: true }],
  [
    'copy mem://b/app:v* mem://c/app',
    'copyTags',
    {
      ...copied,
      tags: [
        { tag: 'v1', action: 'failed', error: failure },
        { tag: 'v2', action: 'copy', digest: DIGEST, copied },
      ],
      tags_copied: 1,
      tags_unchanged: 0,
      tags_failed: 1,
    },
  ],
  ['push app:v1 mem://b/app:v1', 'push', moved],
  [
    'push app:v1 mem://b/app:v1 --dry-run',
    'push',
    { ...moved, dry_run: true, blobs: [{ digest: DIGEST, size: 1, bytes_uploaded: 1 }] },
  ],
  ['pull mem://b/app:v1', 'pull', moved],
  [
    'files mem://b/app:v1',
    'files',
    [{ path: '/a', type: 'file', size: 1, mode: '0644', layer: 'l' }],
  ],
  [
    'files mem://b/app:v1 -l',
    'files',
    [
      {
        path: '/a',
        type: 'symlink',
        size: 1,
        mode: '0644',
        uid: 0,
        gid: 0,
        target: 't',
        layer: 'l',
        modified_at: 't',
      },
    ],
  ],
  [
    'config get mem://b/',
    'getConfig',
    {
      of: 'store',
      settings: {
        default: { lifecycle: { max_age: '1d', keep_tags: ['v*'], mode: 'm' } },
        images: { 'team/*': { immutable: true } },
        policies: [{ name: 'p', check: 'c' }],
      },
    },
  ],
  [
    'config get mem://b/app',
    'getConfig',
    {
      of: 'image',
      image: 'app',
      settings: {
        ref: 'mem://b/app',
        lifecycle: { max_age: '1d' },
        pattern: 'a*',
        sources: { 'lifecycle.max_age': 'a*' },
      },
    },
  ],
  [
    'config set mem://b/app immutable=true',
    'setConfig',
    {
      ref: 'mem://b/app',
      scope: 'image',
      changed: true,
      settings: {},
      guard: 'compare-and-swap',
      copied: ['k'],
      immutable_by: 'a*',
      effects: [{ key: 'k', before: 'b', after: 'a' }],
    },
  ],
  [
    'config recommend mem://b/',
    'recommend',
    {
      bucket: 'b',
      findings: [{ ok: true, label: 'l' }],
      recommendations: [{ title: 't', description: 'd' }],
    },
  ],
  ['delete mem://b/app:v1', 'delete', { ref: 'mem://b/app:v1', deleted: true }],
  ['logout example.com', 'logout', { host: 'h', removedFrom: ['f'], remainingIn: ['g'] }],
  [
    'init mem://b/',
    'init',
    {
      bucket: 'b',
      checks: [{ label: 'l', ok: true, note: 'n' }],
      config_wrote: true,
    },
  ],
]

/** Every text in it, and every name that is free, with the hostile one at its end. */
function poisoned(value: unknown): unknown {
  if (typeof value === 'string') return KEPT.has(value) ? value : value + HOSTILE
  if (Array.isArray(value)) return value.map(poisoned)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, each]) => [
    FREE.has(key) ? key + HOSTILE : key,
    poisoned(each),
  ])
  return Object.fromEntries(entries)
}

/** What only s3lo itself says. */
const KEPT: ReadonlySet<string> = new Set([
  '(attestation)',
  'file',
  'symlink',
  '0644',
  'failed',
  'copy',
  'recent',
  'problem',
  'FORBIDDEN',
  'store',
  'image',
])
const FREE: ReadonlySet<string> = new Set(['STANDARD', 'COLD', 'team/*', 'label-name'])

function run(line: string, operation: keyof Host, answer: () => Promise<unknown>) {
  const host = { [operation]: answer, locate: (text: string) => Promise.resolve(text) }
  return new MemoryWorld().run(line.split(' '), { host })
}

describe('what images, registries and buckets say', () => {
  it.each(COMMANDS)('cannot command a terminal: s3lo %s (%s)', async (line, operation, answer) => {
    const hostile = poisoned(answer)
    const plain = await run(line, operation, () => Promise.resolve(hostile))
    expect(plain.stdout + plain.stderr).not.toMatch(OBEYED)
    // It was shown at all.
    expect(plain.stderr).not.toContain('a bug in s3lo')
    expect(plain.stdout + plain.stderr).not.toBe('')
    const json = await run(`${line} -o json`, operation, () => Promise.resolve(hostile))
    expect(json.stdout + json.stderr).not.toMatch(OBEYED)
    const yaml = await run(`${line} -o yaml`, operation, () => Promise.resolve(hostile))
    expect(yaml.stdout + yaml.stderr).not.toMatch(OBEYED)
    expect(parseYaml(yaml.stdout)).toEqual(JSON.parse(json.stdout))
  })

  it.each(COMMANDS)('cannot by an error: s3lo %s (%s)', async (line, operation) => {
    const cause = new Error(HOSTILE)
    const error = new S3loError('FORBIDDEN', `no ${HOSTILE}`, { hint: HOSTILE, cause })
    for (const option of ['', ' --verbose', ' -o json', ' -o yaml']) {
      const { stdout, stderr } = await run(line + option, operation, () => Promise.reject(error))
      expect(stdout + stderr).not.toMatch(OBEYED)
      expect(stdout + stderr).toContain('no ')
    }
  })

  it('keeps its meaning in documents', async () => {
    const hostile = [{ name: `app${HOSTILE}\u{e0001}`, tags: ['v1'] }]
    for (const format of ['json', 'yaml'] as const) {
      const { stdout } = await run(`list mem://b/ -o ${format}`, 'list', () =>
        Promise.resolve(hostile),
      )
      expect(format === 'json' ? JSON.parse(stdout) : parseYaml(stdout)).toEqual(hostile)
    }
  })
})
