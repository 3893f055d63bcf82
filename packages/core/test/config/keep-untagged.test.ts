import { describe, expect, it } from 'vitest'
import { parseBucketConfig } from '../../src/config/bucket-config.ts'
import { keepUntaggedMs } from '../../src/config/keep-untagged.ts'

const DAY = 24 * 3_600_000

function parse(value: string): ReturnType<typeof parseBucketConfig> {
  return parseBucketConfig(Buffer.from(`default: { lifecycle: { keep_untagged: ${value} } }`))
}

describe('lifecycle.keep_untagged', () => {
  it.each([
    ['', 14 * DAY],
    ['30d', 30 * DAY],
    ['36h', 1.5 * DAY],
    ['0', 0],
    ['"0"', 0],
    ['forever', Infinity],
  ])('%s keeps untagged images for %d ms', async (value, ms) => {
    expect(keepUntaggedMs(await parse(value), 'app')).toBe(ms)
  })

  it.each(['-1d', 'never', '5', '[1d]'])('refuses %s', async (value) => {
    await expect(parse(value)).rejects.toMatchObject({ code: 'INTEGRITY' })
  })

  it('holds for one image where it is set for it', async () => {
    const config = await parseBucketConfig(
      Buffer.from('images: { app: { lifecycle: { keep_untagged: 0 } } }'),
    )
    expect(keepUntaggedMs(config, 'app')).toBe(0)
    expect(keepUntaggedMs(config, 'other')).toBe(14 * DAY)
  })
})
