import { describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import type { AbandonedUpload, Finding } from '../../src/contract/storage-backend.ts'
import { type ErrorCode, S3loError } from '../../src/errors.ts'
import { blobKey, BUCKET_CONFIG_KEY, manifestKey } from '../../src/layout/keys.ts'
import { doctor, type DoctorOptions, type DoctorResult } from '../../src/operations/doctor.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import {
  FaultyBackend,
  imageFixture,
  indexFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'
import { sampleStore } from '../support/sample-store.ts'

const NOW = new Date('2026-11-21T12:00:00Z')
const now = (): Date => NOW
const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

const amd64 = imageFixture({ layers: ['base', 'app'] })
const arm64 = imageFixture({ layers: ['base', 'arm'], platform: 'linux/arm64' })
const multi = indexFixture({ 'linux/amd64': amd64, 'linux/arm64': arm64 }, { attestations: true })

const layerOf = (text: string): string => {
  const bytes = [...arm64.content, ...amd64.content].find(([, b]) =>
    Buffer.from(b).equals(Buffer.from(text)),
  )
  return bytes?.[0] ?? ''
}

async function healthy(): Promise<MemoryBackend> {
  const backend = new MemoryBackend({ now })
  await putImage(backend, { name: 'app', tag: 'v1' }, amd64)
  await putImage(backend, { name: 'team/multi', tag: 'latest' }, multi)
  await backend.put(BUCKET_CONFIG_KEY, Buffer.from('default:\n  lifecycle: {keep_last: 3}\n'))
  return backend
}

const check = (
  backend: MemoryBackend | FaultyBackend,
  options: DoctorOptions = {},
  filter = '',
): Promise<DoctorResult> => doctor(new ImageStore(backend), filter, { now, ...options })

const texts = ({ findings }: DoctorResult, severity: Finding['severity']): readonly string[] =>
  findings.filter((finding) => finding.severity === severity).map(({ message }) => message)

describe('doctor', () => {
  it('points at keys of s3lo.yaml that set nothing, which may be slips', async () => {
    const backend = await healthy()
    const yaml = [
      'default: {imutable: true, lifecycle: {keep_lst: 3}}',
      'images: {"team/*": {immutable: true, lifecycles: {}}}',
      'chunk_format: 1',
      'polices: []',
    ]
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from(yaml.join('\n')))
    const result = await check(backend)
    expect([result.ok, result.config_ok]).toEqual([true, true])
    expect(texts(result, 'notice')[0]).toBe(
      's3lo.yaml has keys that are no settings and do nothing: ' +
        '"polices", "default.imutable", "default.lifecycle.keep_lst", "images.team/*.lifecycles"',
    )
  })

  it('finds nothing wrong with a whole store, and leaves it as it was', async () => {
    const backend = await healthy()
    const keys = await Array.fromAsync(backend.list(''), ({ key }) => key)
    const result = await check(backend)
    expect(result).toMatchObject({
      bucket: 'memory',
      scheme: 'memory://',
      layout_ok: true,
      config_ok: true,
      config_present: true,
      orphaned_blobs: 0,
      orphaned_bytes: 0,
      clock_skew_ms: 0,
      guarantees: {
        create_only: 'enforced',
        compare_and_swap: 'enforced',
        deadlines: 'enforced',
      },
      broken: false,
      ok: true,
    })
    expect(result).not.toHaveProperty('manifest_issues')
    expect(texts(result, 'problem')).toEqual([])
    expect(await Array.fromAsync(backend.list(''), ({ key }) => key)).toEqual(keys)
  })

  it('names a missing layer, its platform, and the command', async () => {
    const backend = await healthy()
    const digest = layerOf('arm')
    await backend.delete([blobKey(digest)])
    const result = await check(backend)
    expect(result).toMatchObject({ broken: true, ok: false })
    expect(result.manifest_issues).toEqual([
      {
        image: 'team/multi:latest',
        message: `missing layer ${digest} (3 bytes) of linux/arm64`,
        hint: expect.stringContaining('s3lo delete memory://memory/team/multi:latest'),
        blobs: [{ digest, size: 3, role: 'layer', problem: 'missing', platform: 'linux/arm64' }],
      },
    ])
    expect(await check(backend, {}, 'app/')).toMatchObject({ broken: false, ok: true })
  })

  it('names a torn layer, and a shared one for each tag', async () => {
    const backend = await healthy()
    await backend.put(blobKey(layerOf('base')), Buffer.from('ba'))
    const { manifest_issues: issues = [] } = await check(backend)
    expect(issues.map(({ image, blobs }) => [image, blobs?.length])).toEqual([
      ['app:v1', 1],
      ['team/multi:latest', 2],
    ])
    expect(issues[0]?.message).toContain('damaged layer')
  })

  it('names manifests that are missing or cannot be read', async () => {
    const backend = await healthy()
    await backend.put(manifestKey({ name: 'app', tag: 'v1' }), Buffer.from('{"layers"'))
    await backend.delete([blobKey(arm64.root.descriptor.digest)])
    const { manifest_issues: issues = [], findings } = await check(backend)
    expect(issues.map(({ image, message }) => [image, message])).toEqual([
      ['app:v1', expect.stringContaining('app:v1 is not JSON')],
      ['team/multi:latest', expect.stringContaining(arm64.root.descriptor.digest)],
    ])
    // Its config and its layer are still there, but nothing says so any more.
    expect(findings).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('2 blobs of') }),
    )
  })

  it('reads the rest of a store of which one object is denied', async () => {
    const denied = blobKey(arm64.root.descriptor.digest)
    const backend = new FaultyBackend(await healthy(), {
      before: ({ method, key }) => {
        if (method === 'get' && key === denied) throw new S3loError('FORBIDDEN', `${key} is denied`)
      },
    })
    const { manifest_issues: issues } = await check(backend)
    expect(issues).toMatchObject([{ image: 'team/multi:latest', message: `${denied} is denied` }])
  })

  it('fails when the store does not answer', async () => {
    const backend = new FaultyBackend(await healthy(), {
      before: ({ key }) => {
        if (key.startsWith('blobs/')) throw new S3loError('UNAVAILABLE', 'no network')
      },
    })
    await expect(check(backend)).rejects.toEqual(code('UNAVAILABLE'))
  })

  it('does not judge a tag that was deleted meanwhile', async () => {
    const inner = await healthy()
    await inner.delete([blobKey(layerOf('arm'))])
    const backend = new FaultyBackend(inner, {
      before: async ({ method, key }) => {
        if (method === 'list' && key === 'blobs/') {
          await inner.delete([manifestKey({ name: 'team/multi', tag: 'latest' })])
        }
      },
    })
    expect(await check(backend)).toMatchObject({ broken: false })
  })

  it('does not take a blob for missing that came after the listing', async () => {
    const inner = await healthy()
    const key = blobKey(layerOf('arm'))
    await inner.delete([key])
    const backend = new FaultyBackend(inner, {
      before: async (call) => {
        if (call.method === 'head' && call.key === key) await inner.put(key, Buffer.from('arm'))
      },
    })
    expect(await check(backend)).toMatchObject({ broken: false })
  })

  it('counts orphans, which are a notice', async () => {
    const backend = await healthy()
    await backend.put(blobKey(`sha256:${'0'.repeat(64)}`), Buffer.from('left over'))
    const result = await check(backend)
    expect(result).toMatchObject({ orphaned_blobs: 1, orphaned_bytes: 9, ok: true })
    expect(result.findings).toContainEqual({
      severity: 'notice',
      message: '1 blobs of 9 bytes belong to no image',
      hint: expect.stringContaining('s3lo clean memory://memory/ --blobs'),
    })
  })

  it('hashes everything again when asked to, and reports how far it is', async () => {
    const backend = await healthy()
    await backend.put(blobKey(layerOf('arm')), Buffer.from('ARM'))
    expect(await check(backend)).toMatchObject({ broken: false })
    const events: ProgressEvent[] = []
    const result = await check(backend, { deep: true, onProgress: (event) => events.push(event) })
    expect(result.manifest_issues).toMatchObject([
      { message: `damaged layer ${layerOf('arm')} (3 bytes) of linux/arm64` },
    ])
    const [plan] = events
    expect(plan).toEqual({
      type: 'plan',
      blobs: result.verified_blobs,
      bytes: result.verified_bytes,
    })
    const done = events.filter((event) => event.type === 'blob' && event.phase === 'done')
    expect(done).toHaveLength(result.verified_blobs ?? 0)
    const bytes = events.reduce((sum, e) => sum + (e.type === 'bytes' ? e.delta : 0), 0)
    // The damaged blob's last chunk is not passed on.
    expect(bytes).toBeGreaterThan(0)
  })

  it('tells an empty bucket and a bad configuration', async () => {
    expect(await check(new MemoryBackend({ now }))).toMatchObject({
      layout_ok: false,
      config_ok: true,
      config_present: false,
      ok: false,
      broken: false,
    })
    const backend = await healthy()
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from('default:\n  immutable: maybe\n'))
    const result = await check(backend)
    expect(result).toMatchObject({ config_ok: false, config_present: true, ok: false })
    expect(texts(result, 'problem')).toEqual([expect.stringContaining('line 2')])
  })

  it('says what keeps immutable tags, and which patterns match nothing', async () => {
    const backend = await healthy()
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from('images:\n  "[": {immutable: true}\n'))
    expect(texts(await check(backend), 'notice')).toEqual([
      expect.stringContaining('the pattern "["'),
      expect.stringContaining('immutable tags are kept by clients'),
    ])
  })

  it('tells what an endpoint does not have', async () => {
    const backend = new MemoryBackend({
      now,
      guarantees: { createOnly: false, compareAndSwap: false, deadlines: false },
    })
    expect((await check(backend)).guarantees).toEqual({
      create_only: 'none',
      compare_and_swap: 'none',
      deadlines: 'none',
    })
  })

  it('finds an endpoint that ignores what it takes', async () => {
    class Lenient extends MemoryBackend {
      override put: MemoryBackend['put'] = (key, body, options) =>
        super.put(key, body, { size: options?.size })

      override delete: MemoryBackend['delete'] = (keys) => super.delete(keys)
    }
    const result = await check(new Lenient({ now }))
    expect(result.guarantees).toEqual({
      create_only: 'broken',
      compare_and_swap: 'broken',
      deadlines: 'broken',
    })
    expect(texts(result, 'problem')).toHaveLength(1 + 3)
  })

  it('tells how far the clocks are apart', async () => {
    const store = await healthy()
    const result = await check(store, { now: () => new Date(NOW.getTime() - 120_000) })
    expect(result).toMatchObject({ clock_skew_ms: 120_000, ok: true })
    expect(texts(result, 'notice')).toEqual([
      "the clock of this machine is 120 s behind the store's",
    ])
  })

  it('leaves untested what may not be written, and writes nothing when told so', async () => {
    const backend = new FaultyBackend(await healthy(), {
      before: ({ method }) => {
        if (method === 'put') throw new S3loError('FORBIDDEN', 'read only')
      },
    })
    const result = await check(backend)
    expect(result).toMatchObject({ ok: true, guarantees: { create_only: 'untested' } })
    expect(texts(result, 'notice')).toEqual([expect.stringContaining('read only')])
    const quiet = new FaultyBackend(await healthy())
    await check(quiet, { probe: false })
    expect(quiet.calls.filter(({ method }) => /put|delete/.test(method))).toEqual([])
  })

  it('removes its probe when it is aborted', async () => {
    const inner = await healthy()
    const abort = new AbortController()
    const backend = new FaultyBackend(inner, {
      after: ({ method, key }) => {
        if (method === 'put' && key.startsWith('.s3lo/')) abort.abort(new Error('stop'))
      },
    })
    await expect(check(backend, { signal: abort.signal })).rejects.toThrow('stop')
    expect(await Array.fromAsync(inner.list('.s3lo/'))).toEqual([])
  })

  it('passes on what the provider says, and counts uploads that were interrupted', async () => {
    const day = 24 * 3_600_000
    const result = await check(
      new Provider(
        [{ severity: 'notice', message: 'versioning is on', hint: 'turn it off' }],
        [0.5, 3, 2].map((days) => ({
          key: 'blobs/x',
          id: String(days),
          startedAt: new Date(NOW.getTime() - days * day),
        })),
      ),
    )
    expect(result.interrupted_uploads).toEqual({
      count: 2,
      oldest_started_at: '2026-11-18T12:00:00.000Z',
    })
    expect(result.findings).toContainEqual({
      severity: 'notice',
      message: 'versioning is on',
      hint: 'turn it off',
    })
  })

  it('has a field for what is said of Intelligent-Tiering', async () => {
    const finding: Finding = {
      severity: 'ok',
      message: 'no archive tiers',
      tiering: 'not configured',
    }
    const result = await check(new Provider([finding], []))
    expect(result.intelligent_tiering).toBe('not configured')
    expect(result.findings).toContainEqual({ severity: 'ok', message: 'no archive tiers' })
  })

  it('continues where the provider does not tell', async () => {
    const result = await check(new Provider(new S3loError('FORBIDDEN', 'denied'), []))
    expect(texts(result, 'notice')).toContainEqual(
      "the provider's settings are not checked: denied",
    )
  })
})

class Provider extends MemoryBackend {
  readonly #findings: readonly Finding[] | S3loError
  readonly abandoned: readonly AbandonedUpload[]

  constructor(findings: readonly Finding[] | S3loError, uploads: readonly AbandonedUpload[]) {
    super({ now })
    this.#findings = findings
    this.abandoned = uploads
  }

  async *diagnose(): AsyncGenerator<Finding> {
    if (this.#findings instanceof S3loError) throw this.#findings
    yield* this.#findings
  }

  async *abandonedUploads(): AsyncGenerator<AbandonedUpload> {
    yield* this.abandoned
  }
}

describe('the sample store', async () => {
  const backend = await sampleStore()

  it.skipIf(!backend)('has one broken image, of which the arm64 layer is missing', async () => {
    const result = await check(backend ?? new MemoryBackend(), { deep: true })
    expect(result).toMatchObject({ broken: true, orphaned_blobs: 0, config_ok: true })
    expect(result.manifest_issues).toMatchObject([
      {
        image: 'alpine:latest',
        message: expect.stringMatching(
          /^missing layer sha256:d8ad8cd7[0-9a-f]{56} \(4197091 bytes\) of linux\/arm64\/v8$/,
        ),
      },
    ])
  })
})
