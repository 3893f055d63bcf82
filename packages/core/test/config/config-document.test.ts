import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_BUCKET_CONFIG_BYTES } from '../../src/config/bucket-config.ts'
import { ConfigDocument } from '../../src/config/config-document.ts'
import { type ConfigEdit, type ConfigPath, parseSetting } from '../../src/config/config-path.ts'
import type { ErrorCode } from '../../src/errors.ts'

async function edited(text: string, ...edits: readonly ConfigEdit[]): Promise<string> {
  const document = await ConfigDocument.parse(Buffer.from(text))
  const { content } = await document.edit(edits)
  return Buffer.from(content).toString()
}

const set = (text: string, scope: string, ...settings: string[]): Promise<string> =>
  edited(text, ...settings.map((setting) => parseSetting(scope, setting)))

const code = (expected: ErrorCode) => expect.objectContaining({ code: expected })

const COMMENTED = `# ours, do not touch
default:   # for all
    lifecycle:   # agreed with legal
        keep_last: 10 # ten
        # between
        keep_tags: # names
            - latest
            # mid
            - stable # last
        max_age: '90d'

# the teams
images:
    "dev/*":
        immutable:   false

    prod: {immutable: true,   lifecycle: {keep_last: 3}}   # flow
unknown:
  - {a:   1}
policies: [ ]   # none yet
# end
`

describe('ConfigDocument.edit', () => {
  it.each([
    ['lifecycle.keep_last=20', 'keep_last: 10 #', 'keep_last: 20 #'],
    ['lifecycle.max_age=30d', "max_age: '90d'", 'max_age: 30d'],
    ['lifecycle.max_age=', "        max_age: '90d'\n", ''],
    ['immutable=true', "max_age: '90d'\n", "max_age: '90d'\n    immutable: true\n"],
    ['lifecycle.mode=either', "max_age: '90d'\n", "max_age: '90d'\n        mode: either\n"],
    ['lifecycle.keep_last=', '        keep_last: 10 # ten\n', ''],
    [
      'chunked=false',
      'policies: [ ]   # none yet\n',
      'policies: [ ]   # none yet\nchunked: false\n',
    ],
    [
      'lifecycle.keep_tags=a, 1.10',
      '            - latest\n            # mid\n            - stable # last\n',
      '            - a\n            - "1.10"\n',
    ],
  ])('%s changes only its own bytes', async (setting, before, after) => {
    expect(COMMENTED).toContain(before)
    expect(await set(COMMENTED, '', setting)).toBe(COMMENTED.replace(before, after))
  })

  it.each([
    ['dev/*', 'immutable=true', 'immutable:   false', 'immutable:   true'],
    [
      'dev/*',
      'lifecycle.keep_last=3',
      'immutable:   false\n',
      'immutable:   false\n        lifecycle:\n            keep_last: 3\n',
    ],
    ['dev/*', 'immutable=', '    "dev/*":\n        immutable:   false\n', ''],
    [
      'prod',
      'lifecycle.keep_last=4',
      '{immutable: true,   lifecycle: {keep_last: 3}}',
      '{immutable: true,   lifecycle: {keep_last: 4}}',
    ],
    ['prod', 'lifecycle=', '{immutable: true,   lifecycle: {keep_last: 3}}', '{immutable: true}'],
    [
      'team/*',
      'immutable=true',
      '   # flow\n',
      '   # flow\n    team/*:\n        immutable: true\n',
    ],
  ])('of %s, %s changes only its own bytes', async (scope, setting, before, after) => {
    expect(COMMENTED).toContain(before)
    expect(await set(COMMENTED, scope, setting)).toBe(COMMENTED.replace(before, after))
  })

  it('makes a file where there is none', async () => {
    expect(await set('', 'dev/*', 'immutable=true', 'lifecycle.keep_last=3')).toBe(
      'images:\n  dev/*:\n    immutable: true\n    lifecycle:\n      keep_last: 3\n',
    )
    expect(await set('# only a comment', '', 'chunked=no'.replace('no', 'f'))).toBe(
      '# only a comment\nchunked: false\n',
    )
  })

  it('quotes patterns that YAML would read as something else', async () => {
    for (const scope of ['*', '[a-z]*', 'a: b'.replace(': ', '#'), '123', 'true', '{a}', "it's"]) {
      const text = await set('', scope, 'immutable=true')
      const { config } = await ConfigDocument.parse(Buffer.from(text))
      expect(Object.keys(config.images)).toEqual([scope])
    }
  })

  it('adds below keys that have no value', async () => {
    expect(await set('default:\nimages: ~ # none\nlast: 1\n', '', 'immutable=true')).toBe(
      'default:\n  immutable: true\nimages: ~ # none\nlast: 1\n',
    )
    expect(await set('default:\nimages: ~ # none\nlast: 1\n', 'app', 'immutable=true')).toBe(
      'default:\nimages:  # none\n  app:\n    immutable: true\nlast: 1\n',
    )
    expect(await set('default:\n  immutable: # why\n', '', 'immutable=true')).toBe(
      'default:\n  immutable: true # why\n',
    )
  })

  it('keeps line endings, a byte order mark and a missing last line end', async () => {
    expect(await set('default:\r\n  immutable: true\r\n', '', 'lifecycle.keep_last=1')).toBe(
      'default:\r\n  immutable: true\r\n  lifecycle:\r\n    keep_last: 1\r\n',
    )
    expect(await set('\uFEFFchunked: true', '', 'chunked=false', 'immutable=true')).toBe(
      '\uFEFFchunked: false\ndefault:\n  immutable: true\n',
    )
  })

  it('removes a block that becomes empty, but neither comments nor what it does not know', async () => {
    const text =
      'default:\n  lifecycle:\n    # why\n    keep_last: 1\nimages:\n  a:\n    immutable: true\n'
    expect(await set(text, '', 'lifecycle.keep_last=')).toBe(
      '    # why\nimages:\n  a:\n    immutable: true\n',
    )
    expect(await set(text, 'a', 'immutable=')).toBe(text.slice(0, text.indexOf('images')))
    expect(await set('default: {immutable: true, x: 1}\n', '', 'immutable=')).toBe(
      'default: {x: 1}\n',
    )
  })

  it('is itself when nothing changes', async () => {
    const document = await ConfigDocument.parse(Buffer.from(COMMENTED))
    expect(await document.edit([parseSetting('', 'lifecycle.mode=')])).toBe(document)
    expect(await document.edit([parseSetting('', 'lifecycle.keep_last=10')])).toBe(document)
  })

  it('refuses what is shared through an anchor or alias', async () => {
    const text = 'default: &d\n  immutable: true\nimages:\n  app: *d\n  b:\n    <<: *d\n'
    await expect(set(text, '', 'immutable=false')).rejects.toEqual(code('UNSUPPORTED'))
    await expect(set(text, 'app', 'immutable=false')).rejects.toEqual(code('UNSUPPORTED'))
    expect(await set(text, 'b', 'immutable=false')).toBe(`${text}    immutable: false\n`)
  })

  it('refuses a file that is not valid, with the line', async () => {
    await expect(set('default:\n  immutable: maybe\n', '', 'chunked=true')).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringContaining('line 2'),
    })
  })

  it('refuses a mode of retention that there is not, with the line', async () => {
    const text = 'default:\n  lifecycle:\n    mode: both\n'
    await expect(set(text, '', 'chunked=true')).rejects.toMatchObject({
      code: 'INTEGRITY',
      message: expect.stringContaining('line 3: default.lifecycle.mode'),
    })
  })

  it('refuses a result that is not valid or too large', async () => {
    const long = `# ${'x'.repeat(MAX_BUCKET_CONFIG_BYTES - 10)}\n`
    await expect(set(long, '', 'immutable=true')).rejects.toEqual(code('USAGE'))
    const wrong = { path: ['default', 'immutable'] as const, value: 'maybe' }
    await expect(edited('', wrong)).rejects.toEqual(code('INTEGRITY'))
  })

  it('every value that is set is read back, and unsetting it leaves the rest as it was', async () => {
    const names = fc.constantFrom('app', 'dev/*', 'prod', '*', 'x[12]')
    const settings = fc.constantFrom(
      'immutable=true',
      'immutable=false',
      'lifecycle.keep_last=7',
      'lifecycle.max_age=1h30m',
      'lifecycle.keep_tags=v*,1.0',
      'lifecycle.mode=floor',
    )
    const texts = fc.constantFrom('', COMMENTED, 'images: {}\n', 'default:\n', '--- # doc\nx: 1\n')
    await fc.assert(
      fc.asyncProperty(texts, names, settings, async (text, name, setting) => {
        const edit = parseSetting(name, setting)
        const before = await ConfigDocument.parse(Buffer.from(text))
        const after = await before.edit([edit])
        expect(after.has(edit.path)).toBe(true)
        const others: ConfigPath[] = [['default'], ['unknown'], ['policies'], ['x'], ['chunked']]
        for (const path of others) expect(after.agrees(before, path)).toBe(true)
        const back = await after.edit([{ path: edit.path }])
        expect(back.has(edit.path)).toBe(false)
        // What stood in braces is written anew.
        const inBraces = text === 'images: {}\n' || name === 'prod'
        if (before.has(edit.path) || inBraces) return
        expect(Buffer.from(back.content).toString()).toBe(text)
      }),
      { numRuns: 200 },
    )
  })
})
