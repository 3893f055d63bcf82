import { describe, expect, it } from 'vitest'
import type { AbandonedUpload, Finding } from '../../src/contract/storage-backend.ts'
import { type ErrorCode, S3loError } from '../../src/errors.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { recommend } from '../../src/operations/recommend.ts'
import { MemoryBackend } from '../../src/testing/index.ts'

const NOW = new Date('2026-11-21T12:00:00Z')
const now = (): Date => NOW
const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

class Provider extends MemoryBackend {
  findings: readonly Finding[] = []
  uploads: readonly AbandonedUpload[] = []
  denied = false

  async *diagnose(): AsyncGenerator<Finding> {
    yield* this.findings
  }

  async *abandonedUploads(): AsyncGenerator<AbandonedUpload> {
    if (this.denied) throw new S3loError('FORBIDDEN', 'denied')
    yield* this.uploads
  }
}

describe('recommend', () => {
  it('recommends retention where there is none', async () => {
    expect(await recommend(new MemoryBackend({ bucket: 'images' }), { now })).toEqual({
      bucket: 'images',
      findings: [{ label: 'no retention is set: tags stay for ever', ok: false }],
      recommendations: [
        {
          title: 'set how many tags to keep, and how long',
          description:
            's3lo config set memory://images/ lifecycle.keep_last=10 lifecycle.max_age=90d',
        },
      ],
    })
  })

  it.each([
    ['default: {lifecycle: {keep_last: 1}}', true],
    ['images: {app: {lifecycle: {max_age: 1d}}}', true],
    ['default: {immutable: true, lifecycle: {keep_tags: [a]}}', false],
  ])('with %s, retention is set: %s', async (text, set) => {
    const backend = new MemoryBackend()
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from(text))
    const { findings, recommendations } = await recommend(backend, { now })
    expect(findings[0]?.ok).toBe(set)
    expect(recommendations[0]?.description).toContain(set ? '0 2 * * * s3lo clean' : 'config set')
  })

  it("turns the provider's advice into recommendations", async () => {
    const backend = new Provider()
    backend.findings = [
      { severity: 'ok', message: 'versioning is off' },
      { severity: 'notice', message: 'no lifecycle rule', hint: 'add one' },
      { severity: 'notice', message: 'tiering is not known' },
    ]
    backend.uploads = [{ key: 'a', id: '1', startedAt: new Date(NOW.getTime() - 9e8) }]
    const { findings, recommendations } = await recommend(backend, { now })
    expect(findings.map(({ ok }) => ok)).toEqual([true, false, false, false, false])
    expect(recommendations.slice(0, 2)).toEqual([
      { title: 'no lifecycle rule', description: 'add one' },
      {
        title: 'remove interrupted uploads',
        description: 's3lo clean memory://memory/ --blobs --confirm',
      },
    ])
  })

  it('does not take denied for none', async () => {
    const backend = new Provider()
    expect((await recommend(backend, { now })).findings[0]).toEqual({
      label: 'no interrupted uploads',
      ok: true,
    })
    backend.denied = true
    expect((await recommend(backend, { now })).findings[0]).toEqual({
      label: 'interrupted uploads are not counted: denied',
      ok: false,
    })
  })

  it('fails on a configuration that is not valid', async () => {
    const backend = new MemoryBackend()
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from('default: 1\n'))
    await expect(recommend(backend, { now })).rejects.toEqual(code('INTEGRITY'))
  })
})
