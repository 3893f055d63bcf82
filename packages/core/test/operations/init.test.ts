import { describe, expect, it } from 'vitest'
import { parseBucketConfig } from '../../src/config/bucket-config.ts'
import { type ErrorCode, S3loError } from '../../src/errors.ts'
import { BUCKET_CONFIG_KEY } from '../../src/layout/keys.ts'
import { CONFIG_TEMPLATE, init } from '../../src/operations/init.ts'
import { readObject } from '../../src/store/read-object.ts'
import { FaultyBackend, MemoryBackend } from '../../src/testing/index.ts'

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

async function textOf(backend: MemoryBackend): Promise<string> {
  return Buffer.from((await readObject(backend, BUCKET_CONFIG_KEY, 1000)) ?? []).toString()
}

describe('init', () => {
  it('writes a configuration where there is none, and says what the store can do', async () => {
    const backend = new MemoryBackend({ bucket: 'images' })
    const result = await init(backend)
    expect(result).toMatchObject({ bucket: 'images', config_wrote: true })
    expect(result.checks.map(({ ok }) => ok)).toEqual([true, true, true, true, true])
    expect(await textOf(backend)).toBe(CONFIG_TEMPLATE)
  })

  it('keeps 10 tags and 90 days, as the Go program', async () => {
    expect(await parseBucketConfig(Buffer.from(CONFIG_TEMPLATE))).toMatchObject({
      default: { lifecycle: { keepLast: 10, maxAge: '90d' } },
    })
  })

  it.each(['chunked: true\n', 'default: [\n'])('leaves %j as it is', async (text) => {
    const backend = new MemoryBackend()
    await backend.put(BUCKET_CONFIG_KEY, Buffer.from(text))
    const { config_wrote: wrote, checks } = await init(backend)
    expect(wrote).toBe(false)
    expect(checks[1]?.ok).toBe(text.startsWith('chunked'))
    expect(await textOf(backend)).toBe(text)
  })

  it.each([true, false])(
    'never overwrites what comes first (create-only: %s)',
    async (createOnly) => {
      const inner = new MemoryBackend({ guarantees: { createOnly } })
      const backend = new FaultyBackend(inner, {
        before: async ({ method }) => {
          const theirs = createOnly ? method === 'put' : method === 'head'
          if (theirs) await inner.put(BUCKET_CONFIG_KEY, Buffer.from('chunked: true\n'))
        },
      })
      expect(await init(backend)).toMatchObject({ config_wrote: false })
      expect(await textOf(inner)).toBe('chunked: true\n')
    },
  )

  it.each(['get', 'put'] as const)('fails when a %s is denied', async (denied) => {
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: ({ method }) => {
        if (method === denied) throw new S3loError('FORBIDDEN', 'denied')
      },
    })
    await expect(init(backend)).rejects.toEqual(code('FORBIDDEN'))
  })
})
