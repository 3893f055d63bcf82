import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_BUCKET_CONFIG_BYTES, parseBucketConfig } from '../../src/config/bucket-config.ts'
import { isS3loError, type S3loError } from '../../src/errors.ts'

const parse = (text: string) => parseBucketConfig(Buffer.from(text))

async function failure(content: string | Uint8Array): Promise<S3loError> {
  const error: unknown = await parseBucketConfig(Buffer.from(content)).catch(
    (error: unknown) => error,
  )
  if (isS3loError(error, 'INTEGRITY')) return error
  throw new Error(`expected INTEGRITY, got ${String(error)}`)
}

const lifecycle = async (text: string) =>
  (await parse(`default:\n  lifecycle:\n    ${text}\n`)).default.lifecycle

describe('parseBucketConfig', () => {
  it('reads every setting', async () => {
    const config = await parse(`
default:
    immutable: true
    lifecycle:
        keep_last: 10
        max_age: 90d
        keep_tags:
            - latest
            - stable
        keep_untagged: 30d
images:
    dev/*:
        immutable: false
        lifecycle: {keep_last: 3}
policies:
    - {name: no criticals, check: scan, max_severity: CRITICAL}
    - {name: fresh, check: age, max_days: 0}
    - {check: size, max_bytes: 1073741824}
    - {name: ours, check: signed, key_ref: cosign.pub, enforce: push, later: x}
chunked: false
chunk_format: 1
`)
    expect(config).toEqual({
      default: {
        immutable: true,
        lifecycle: {
          keepLast: 10,
          maxAge: '90d',
          keepTags: ['latest', 'stable'],
          keepUntagged: '30d',
        },
      },
      images: { 'dev/*': { immutable: false, lifecycle: { keepLast: 3 } } },
      policies: [
        { name: 'no criticals', check: 'scan', maxSeverity: 'CRITICAL' },
        { name: 'fresh', check: 'age', maxDays: 0 },
        { name: 'size', check: 'size', maxBytes: 1073741824 },
        {
          name: 'ours',
          check: 'signed',
          keyRef: 'cosign.pub',
          enforce: 'push',
          parameters: { later: 'x' },
        },
      ],
      chunked: false,
      chunkFormat: 1,
    })
  })

  it.each([
    '',
    '\n',
    '# nothing\n',
    '~',
    'null',
    '---\n',
    'default:\nimages: ~\n',
    '\uFEFF',
    'default: {lifecycle: {}}',
  ])('reads %j as no settings', async (text) =>
    expect(await parse(text)).toEqual({ default: {}, images: {} }),
  )

  it('reads a stamped config as the Go program writes it', async () => {
    expect(await parse('chunk_format: 1\n')).toEqual({ default: {}, images: {}, chunkFormat: 1 })
  })

  it('passes over unknown keys with any content', async () => {
    const text = 'future: [{a: &x b}, *x, !tag c]\ndefault: {immutable: true, other: {}}\n'
    expect(await parse(text)).toEqual({ default: { immutable: true }, images: {} })
  })

  it.each([
    ['10', 10],
    ['10.0', 10],
    ['+5', 5],
    ['1_000', 1000],
    ['0x1F', 31],
    ['0o10', 8],
    ['0b11', 3],
    ['0', undefined],
    ['~', undefined],
    ['', undefined],
  ])('reads keep_last: %s', async (text, keepLast) => {
    expect((await lifecycle(`keep_last: ${text}`))?.keepLast).toBe(keepLast)
  })

  it.each([
    '"10"',
    "''",
    'ten',
    '10.5',
    '010',
    '-1',
    '[1]',
    '{a: 1}',
    '9007199254740993',
    '!!str 5',
    'true',
    '.inf',
    '.nan',
  ])('refuses keep_last: %s, naming line and key', async (text) => {
    const { message } = await failure(`default:\n  lifecycle:\n    keep_last: ${text}\n`)
    expect(message).toContain('s3lo.yaml line 3')
    expect(message).toContain('default.lifecycle.keep_last')
  })

  it.each(['true', 'True', 'TRUE', 'yes', 'Yes', 'YES', 'on', 'On', 'ON', 'y', 'Y', '"yes"'])(
    'reads immutable: %s as true, as Go does',
    async (text) =>
      expect(await parse(`default: {immutable: ${text}}`)).toMatchObject({
        default: { immutable: true },
      }),
  )

  it.each(['false', 'False', 'no', 'NO', 'off', 'n', "'off'"])(
    'reads immutable: %s as false',
    async (text) =>
      expect(await parse(`default: {immutable: ${text}}`)).toMatchObject({
        default: { immutable: false },
      }),
  )

  it.each(['"true"', '1', '0', 'tRue', 'maybe', '[]', '""'])(
    'refuses immutable: %s',
    async (text) => {
      expect((await failure(`images:\n  a*:\n    immutable: ${text}\n`)).message).toContain(
        'line 3: images["a*"].immutable',
      )
    },
  )

  it('keeps the spelling of tags that look like other types', async () => {
    expect(await lifecycle('keep_tags: [1.10, true, ~, "x", 010, 2024-01-01]')).toEqual({
      keepTags: ['1.10', 'true', 'x', '010', '2024-01-01'],
    })
  })

  it.each(['latest', '{a: b}', '[[a]]'])('refuses keep_tags: %s', async (text) => {
    expect((await failure(`default:\n  lifecycle:\n    keep_tags: ${text}`)).message).toContain(
      'keep_tags',
    )
  })

  it.each(['90', '1w', '1.5d', 'soon', '9223372036854775807d'])(
    'refuses max_age: %s on reading',
    async (text) => {
      expect((await failure(`default:\n  lifecycle:\n    max_age: ${text}`)).message).toContain(
        'line 3',
      )
    },
  )

  it('keeps a max_age as it is written', async () => {
    expect(await lifecycle('max_age: 168h')).toEqual({ maxAge: '168h' })
    expect(await lifecycle('max_age: ""')).toBeUndefined()
  })

  it.each([
    'policies: {}',
    'policies: [x]',
    'policies: [{name: a}]',
    'policies: [{check: ""}]',
    'policies: [{check: age, max_days: "1"}]',
    'policies: [{check: age, max_days: -1}]',
    'policies: [{check: [a]}]',
    'policies: [{check: age, enforce: pull}]',
    'policies: [{check: age, enforce: true}]',
  ])('refuses %s', async (text) => {
    await failure(text)
  })

  it.each([
    ['[]', 1],
    ['text', 1],
    ['default: []', 1],
    ['images:\n  a: 5', 2],
    ['default:\n  immutable: true\ndefault: {}', 3],
    ['images:\n  a: {}\n  a: {}', 3],
    ['images:\n  a: {immutable: true\n', 3],
    ['a: b: c', 1],
    ['\n\n  "open', 3],
    ['a: *nowhere', 1],
    ['a: 1\n---\nb: 2', 2],
    ['? [a]\n: b', 1],
  ])('names the line of %j', async (text, line) => {
    expect((await failure(text)).message).toContain(`s3lo.yaml line ${line}:`)
  })

  it('follows aliases and merge keys, which may carry the immutability of an image', async () => {
    const { images } = await parse(`
shared: &locked {immutable: true, lifecycle: {keep_last: 5}}
images:
  a: *locked
  b: {<<: *locked, lifecycle: {keep_last: 1}}
  c: {immutable: false, <<: [*locked, {immutable: true}]}
`)
    expect(images['a']).toEqual({ immutable: true, lifecycle: { keepLast: 5 } })
    expect(images['b']).toEqual({ immutable: true, lifecycle: { keepLast: 1 } })
    expect(images['c']).toEqual({ immutable: false, lifecycle: { keepLast: 5 } })
  })

  it('keeps hostile pattern names as plain keys', async () => {
    const { images } = await parse('images:\n  __proto__: {immutable: true}\n  constructor: {}\n')
    expect(Object.keys(images)).toEqual(['__proto__', 'constructor'])
    expect(({} as { immutable?: boolean }).immutable).toBeUndefined()
  })

  it('refuses invalid UTF-8 and files that are too large', async () => {
    await failure(Uint8Array.of(0x61, 0x3a, 0x20, 0xff))
    await failure(`#${' '.repeat(MAX_BUCKET_CONFIG_BYTES)}`)
  })

  it('bounds what aliases multiply', async () => {
    const tags = `t: &t [${'a,'.repeat(20_000)}a]\n`
    const users = Array.from({ length: 5000 }, (_, i) => `  i${i}: {lifecycle: {keep_tags: *t}}`)
    expect((await failure(`${tags}images:\n${users.join('\n')}\n`)).message).toContain(
      'too many values',
    )
  })

  it('reads a nested alias bomb in unknown keys without expanding it', async () => {
    const levels = Array.from(
      { length: 30 },
      (_, i) => `k${i + 1}: &k${i + 1} [${`*k${i},`.repeat(10)}]`,
    )
    expect(await parse(`k0: &k0 x\n${levels.join('\n')}\n`)).toEqual({ default: {}, images: {} })
  })

  it('refuses mappings that merge themselves', async () => {
    await failure('default: &d\n  <<: *d\n')
    await failure('images: &i\n  a: {immutable: true}\n  <<: [*i, *i, *i]\n')
  })

  it.each([
    ['brackets', '['.repeat(200_000)],
    ['closed brackets', `a: ${'['.repeat(20_000)}${']'.repeat(20_000)}`],
    ['dashes', '- '.repeat(100_000)],
    ['tags', '!a '.repeat(20_000)],
  ])('refuses deep or repeated %s in bounded time', async (_name, text) => {
    await failure(text)
  })

  it('fails with nothing but INTEGRITY', async () => {
    const unit = fc.constantFrom(
      'default',
      'images',
      'lifecycle',
      'keep_last',
      'policies',
      'check',
      ': ',
      '\n',
      '  ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '&a ',
      '*a',
      '<<',
      '"',
      "'",
      '|',
      '>',
      '!',
      '%',
      '#',
      '~',
      '?',
      '1',
      'true',
      '\t',
      '\u0000',
      '---\n',
      ',',
    )
    const text = fc.oneof(fc.string({ unit, maxLength: 60 }), fc.string({ unit: 'binary' }))
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          text.map((text) => Buffer.from(text)),
          fc.uint8Array(),
        ),
        async (content) => {
          const error: unknown = await parseBucketConfig(content).then(
            () => undefined,
            (error: unknown) => error,
          )
          if (error !== undefined && !isS3loError(error, 'INTEGRITY')) throw error
        },
      ),
      { numRuns: 200 },
    )
  })
})
