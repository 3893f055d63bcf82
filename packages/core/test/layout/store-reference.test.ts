import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import {
  formatReference,
  isStoreReference,
  manifestsPrefix,
  matchesFilter,
  parseConfigReference,
  parseExplicitReference,
  parseReference,
  parseStoreReference,
} from '../../src/layout/store-reference.ts'

const H = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const BAD = 'INVALID_REFERENCE'

/** Parts joined as the compatibility tables print them, or the code of the error. */
function outcome(read: () => readonly (string | undefined)[]): string {
  try {
    return read()
      .map((part) => part ?? '')
      .join(' | ')
      .trimEnd()
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
}

const image = (text: string) =>
  outcome(() => {
    const { bucket, name, tag, digest } = parseReference(text)
    return [bucket, name, tag, digest]
  })

const hintOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (isS3loError(error, BAD)) return error.hint ?? ''
  }
  throw new Error('did not throw INVALID_REFERENCE')
}

describe('image references', () => {
  it.each([
    ['s3://my-bucket/myapp:v1.0', 'my-bucket | myapp | v1.0 |'],
    ['s3://my-bucket/org/myapp:v1.0', 'my-bucket | org/myapp | v1.0 |'],
    ['s3://my-bucket/myapp', 'my-bucket | myapp | latest |'],
    [`s3://my-bucket/myapp@sha256:${H}`, `my-bucket | myapp |  | sha256:${H}`],
    ['s3://my-bucket/myapp@sha256:abc123', BAD],
    [`s3://b/app:v1@sha256:${H}`, `b | app:v1 |  | sha256:${H}`],
    ['gs://my-bucket/myapp:v1.0', 'my-bucket | myapp | v1.0 |'],
    ['gs://my-bucket/myapp', 'my-bucket | myapp | latest |'],
    ['az://my-container/myapp:v1.0', 'my-container | myapp | v1.0 |'],
    ['az://my-container/myapp', 'my-container | myapp | latest |'],
    ['s3:///myapp:v1.0', BAD],
    ['s3://my-bucket/', BAD],
    ['s3://my-bucket//', BAD],
    ['s3://my-bucket', BAD],
    ['http://my-bucket/myapp:v1.0', BAD],
    ['', BAD],
    ['s3://my-bucket/myapp:', BAD],
    ['s3://my-bucket/myapp@', BAD],
    ['s3://b/:v1', BAD],
    [`s3://b/@sha256:${H}`, BAD],
    ['s3://bucket/app:..', BAD],
    ['s3://bucket/app:.', BAD],
    ['s3://bucket/../app:v1', BAD],
    ['s3://bucket/..:v1', BAD],
    ['s3://bucket/org/../app:v1', BAD],
    ['s3://bucket/org/./app:v1', BAD],
    ['s3://bucket/org//app:v1', BAD],
    ['s3://bucket/app/:v1', BAD],
    ['s3://bucket/app:v1/../../etc', BAD],
    ['s3://bucket/app:.wh.x/..', BAD],
    ['s3://bucket/app:v1/', BAD],
    [String.raw`s3://bucket/a\b:v1`, BAD],
    ['s3://bucket/app@deadbeef', BAD],
    ['s3://bucket/app@sha256:', BAD],
    ['s3://bucket/app@sha256:xyz', BAD],
    ['s3://bucket/app@:abc', BAD],
    ['s3://bucket/app@sha256:../../etc/passwd', BAD],
    [`s3://bucket/app@SHA256:${H}`, BAD],
    [`s3://bucket/app@sha512:${H}${H}`, `bucket | app |  | sha512:${H}${H}`],
    [`s3://bucket/app@md5:${H.slice(0, 32)}`, `bucket | app |  | md5:${H.slice(0, 32)}`],
    ['s3://bucket/org/team/app:v1.0-rc.1_build', 'bucket | org/team/app | v1.0-rc.1_build |'],
    ['s3://bucket/app.with.dots:tag.with.dots', 'bucket | app.with.dots | tag.with.dots |'],
    ['s3://bucket/App:UPPER', 'bucket | App | UPPER |'],
    ['s3://bucket/app:v 1', 'bucket | app | v 1 |'],
    ['s3://bucket/a:b:c', 'bucket | a:b | c |'],
    ['s3://bucket/host:5000/app:v1', 'bucket | host:5000/app | v1 |'],
    ['local://mystore/myapp:v1.0', 'mystore | myapp | v1.0 |'],
    ['local://./my-store/myapp:v1.0', './my-store | myapp | v1.0 |'],
    ['local://./my-store/org/myapp:v1.0', './my-store | org/myapp | v1.0 |'],
    ['local://../store/myapp:v1.0', '../store | myapp | v1.0 |'],
    ['local://../../store/app:v1', '../.. | store/app | v1 |'],
    ['local://.//app:v1', './ | app | v1 |'],
    ['local://~/store/app:v1', '~ | store/app | v1 |'],
    ['local:///store/myapp:v1.0', '/store | myapp | v1.0 |'],
    ['local:///store/org/myapp:v1.0', '/store | org/myapp | v1.0 |'],
    ['local:///var/lib/store/img:tag', '/var | lib/store/img | tag |'],
    ['local:///app:v1', BAD],
    ['local://./app:v1', BAD],
    ['local://', BAD],
    ['local://./store/app:..', BAD],
    ['local://./store/../app:v1', BAD],
  ])('reads %s as the Go program does', (text, expected) => {
    expect(image(text)).toBe(expected)
  })

  it.each([
    ['local:///var/lib/images//team/app:v1', '/var/lib/images | team/app | v1 |'],
    ['local://./a/b//app:v1', './a/b | app | v1 |'],
    ['local://../../../stores/a//team/app', '../../../stores/a | team/app | latest |'],
    ['local://a/b/c//app:v1', 'a/b/c | app | v1 |'],
    ['local://store//app:v1', 'store | app | v1 |'],
    ['local://./store//app:v1', './store | app | v1 |'],
    ['local:///store//app:v1', '/store | app | v1 |'],
    ['local://../..//app:v1', '../.. | app | v1 |'],
    ['local://.//deep//app:v1', './/deep | app | v1 |'],
    ['local:///var/lib//a//b:v1', BAD],
    ['local:///var/lib///app:v1', BAD],
    ['local:///var/lib//', BAD],
    ['local:///var/lib//../app:v1', BAD],
    ['local:////app:v1', BAD],
    ['local:////var/app:v1', BAD],
    ['s3://bucket/a//b:v1', BAD],
  ])('ends a deeper local root at an empty component: %s', (text, expected) => {
    expect(image(text)).toBe(expected)
  })

  it('gives image and name the same value, and no member that is absent', () => {
    expect(parseReference('s3://b/team/app:v1')).toStrictEqual({
      scheme: 's3',
      bucket: 'b',
      image: 'team/app',
      name: 'team/app',
      tag: 'v1',
    })
    expect(parseReference(`s3://b/app@sha256:${H}`)).not.toHaveProperty('tag')
  })

  it('takes the scheme of an unknown backend', () => {
    expect(parseReference('my-store+v2.x://b/app:v1')).toMatchObject({ scheme: 'my-store+v2.x' })
  })

  it.each([
    'http://ghcr.io/a:1',
    'https://ghcr.io/a:1',
    'ftp://h/a:1',
    'ssh://h/a:1',
    'git://h/a:1',
    'file:///a/b:1',
    'docker://alpine/x:1',
    'docker-daemon://a/b:1',
    'oci://dir/a:1',
    'HTTPS://ghcr.io/a:1',
  ])('refuses %s, which is no store, with a hint', (text) => {
    expect(hintOf(() => parseReference(text))).toMatch(/local:\/\//)
    expect(hintOf(() => parseStoreReference(text))).not.toBe('')
    expect(isStoreReference(text)).toBe(false)
  })

  it('refuses a scheme in upper case and says how to write it', () => {
    expect(hintOf(() => parseReference('S3://b/app:v1'))).toContain('s3://')
    expect(hintOf(() => parseStoreReference('Local://b'))).toContain('local://')
  })

  it.each([
    's3://b/app\n:v1',
    's3://b/app:v\u0000',
    's3://b\u001B[2J/app:v1',
    's3://b/app:\u0085',
    's3://b/app\u007F:v1',
    's3://b/\uD800:v1',
    's3://b/app:\uDC00v',
  ])('refuses unprintable names: %j', (text) => {
    for (const parse of [parseReference, parseStoreReference, parseConfigReference]) {
      expect(outcome(() => [parse(text).bucket])).toBe(BAD)
    }
  })

  it('accepts printable text of any script', () => {
    expect(image('s3://b/größe/日本/🐳:v1')).toBe('b | größe/日本/🐳 | v1 |')
  })

  it('refuses what would need a key longer than 1024 bytes, counted in UTF-8', () => {
    const rest = 'manifests//v1/manifest.json'.length
    expect(image(`s3://b/${'a'.repeat(1024 - rest)}:v1`)).not.toBe(BAD)
    expect(image(`s3://b/${'a'.repeat(1025 - rest)}:v1`)).toBe(BAD)
    expect(image(`s3://b/${'é'.repeat(500)}:v1`)).toBe(BAD)
    expect(outcome(() => [parseStoreReference(`s3://b/${'a'.repeat(1025)}`).filter])).toBe(BAD)
    expect(outcome(() => [parseConfigReference(`s3://b/${'a'.repeat(1025)}`).image])).toBe(BAD)
  })

  it('quotes the reference it refuses, but never at full length', () => {
    expect(() => parseReference('s3://b/a\u0007')).toThrow(String.raw`"s3://b/a\u0007"`)
    const message = outcome(() => {
      try {
        parseReference(`s3://${'x'.repeat(1_000_000)}`)
      } catch (error) {
        return [String(error)]
      }
      return []
    })
    expect(message.length).toBeLessThan(400)
  })
})

describe('explicit references', () => {
  it('accepts a tag or a digest', () => {
    expect(parseExplicitReference('s3://b/app:v1')).toMatchObject({ tag: 'v1' })
    expect(parseExplicitReference(`s3://b/app@sha256:${H}`)).toMatchObject({
      digest: `sha256:${H}`,
    })
  })

  it('refuses a missing one and shows the reference with :latest', () => {
    expect(hintOf(() => parseExplicitReference('s3://b/app'))).toContain('s3://b/app:latest')
  })

  it('is not satisfied by a colon elsewhere', () => {
    expect(outcome(() => [parseExplicitReference('s3://b:x/y').tag])).toBe(BAD)
    expect(outcome(() => [parseExplicitReference('s3://b/host:5000/app').tag])).toBe(BAD)
  })
})

describe('store references', () => {
  it.each([
    ['s3://bucket', 'bucket |'],
    ['s3://bucket/', 'bucket |'],
    ['s3://bucket/team', 'bucket | team/'],
    ['s3://bucket/team/', 'bucket | team/'],
    ['s3://bucket/team/app', 'bucket | team/app/'],
    ['s3://bucket/dev/*', 'bucket | dev/*/'],
    ['s3://bucket/app:v1', 'bucket | app:v1/'],
    ['local://store', 'store |'],
    ['local://store/', 'store |'],
    ['local://./store', './store |'],
    ['local://./store/', './store |'],
    ['local://./store/team/app/', './store | team/app/'],
    ['local://../store/x', '../store | x/'],
    // The Go program takes these for the current directory (W1).
    ['local:///store/', '/store |'],
    ['local:///store', '/store |'],
    ['local:///store/app', '/store | app/'],
    ['s3://', BAD],
    ['s3:///x', BAD],
    ['local://', BAD],
    ['local:///', BAD],
    ['local://.', '. |'],
    ['local://..', '.. |'],
    ['local://./', './ |'],
    ['local://../', '../ |'],
    ['bucket', BAD],
    ['ftp://x', BAD],
    // Ours: deeper roots.
    ['local:///var/lib/images//', '/var/lib/images |'],
    ['local:///var/lib/images//team', '/var/lib/images | team/'],
    ['local://./a/b//', './a/b |'],
    ['local://a/b//team/app/', 'a/b | team/app/'],
    ['local://.//', './ |'],
    ['local:///var//a//b', BAD],
    // Ours: a filter that is part of no image name would silently select nothing.
    ['s3://bucket//', BAD],
    ['s3://bucket/team//', BAD],
    ['s3://bucket/../x', BAD],
    ['s3://bucket/./x', BAD],
    [String.raw`s3://bucket/..\x`, BAD],
  ])('reads %s', (text, expected) => {
    const parsed = outcome(() => {
      const { bucket, filter } = parseStoreReference(text)
      return [bucket, filter]
    })
    expect(parsed).toBe(expected)
  })

  it.each([
    ['local://./st', ['app', 'app/sub', 'app2', 'team/app']],
    ['local://./st/', ['app', 'app/sub', 'app2', 'team/app']],
    ['local://./st/app', ['app', 'app/sub']],
    ['local://./st/app/', ['app', 'app/sub']],
    ['local://./st/team', ['team/app']],
    ['local://./st/team/app', ['team/app']],
    ['local://./st/ap', []],
    ['local://./st/app:v1', []],
  ])('selects images by whole name components: %s', (text, expected) => {
    const { filter } = parseStoreReference(text)
    const images = ['app', 'app/sub', 'app2', 'team/app']
    expect(images.filter((name) => matchesFilter(name, filter))).toEqual(expected)
  })

  it('reads a filter without its slash as with it', () => {
    expect(matchesFilter('team', 'team')).toBe(true)
    expect(matchesFilter('team2', 'team')).toBe(false)
  })
})

describe('config references', () => {
  it.each([
    ['s3://bucket/', 'bucket |'],
    ['s3://bucket', 'bucket |'],
    ['s3://bucket/myapp', 'bucket | myapp'],
    ['s3://bucket/myapp/', 'bucket | myapp'],
    ['s3://bucket/dev/*', 'bucket | dev/*'],
    ['az://container/myapp', 'container | myapp'],
    ['local://./store/', './store |'],
    ['local://./store/myapp', './store | myapp'],
    ['s3://bucket/app:v1', 'bucket | app:v1'],
    // An error in the Go program (W1).
    ['local:///store/', '/store |'],
    ['local:///store/x', '/store | x'],
    ['local:///var/lib/images//team/*', '/var/lib/images | team/*'],
    ['local:///var/lib/images//', '/var/lib/images |'],
    [String.raw`s3://bucket/a\*[b-d]?`, String.raw`bucket | a\*[b-d]?`],
    ['s3://', BAD],
    ['s3:///x', BAD],
    ['local:///', BAD],
    ['s3://bucket//x', BAD],
    ['s3://bucket/../x', BAD],
    ['bucket/x', BAD],
  ])('reads %s', (text, expected) => {
    const parsed = outcome(() => {
      const { bucket, image } = parseConfigReference(text)
      return [bucket, image]
    })
    expect(parsed).toBe(expected)
  })
})

describe('routing', () => {
  it.each(['s3://b/a', 'local://./x/a:v1', 'foo://x', 'S3://b/a', 's3://'])(
    'takes %s for a store',
    (text) => expect(isStoreReference(text)).toBe(true),
  )

  it.each([
    'app:v1',
    'ghcr.io/a/b:1',
    'docker-daemon:a:b',
    'oci:dir:tag',
    'docker://alpine',
    '',
    '://x',
    '3s://x',
  ])('does not take %j for a store', (text) => expect(isStoreReference(text)).toBe(false))
})

describe('manifestsPrefix', () => {
  it('is the folder of a tag, or the one named by a digest', () => {
    expect(manifestsPrefix({ name: 'team/app', tag: 'v1' })).toBe('manifests/team/app/v1/')
    const digest = `sha256:${H}`
    expect(manifestsPrefix({ name: 'app', digest })).toBe(`manifests/app/${digest}/`)
  })

  it.each([
    { name: '..', tag: 'v1' },
    { name: 'a/../b', tag: 'v1' },
    { name: '', tag: 'v1' },
    { name: 'app', tag: '..' },
    { name: 'app', tag: '' },
    { name: 'app', tag: 'a/b' },
    { name: 'app', digest: '../x' },
    { name: 'app', tag: 'a\nb' },
    { name: 'app' },
    { name: 'app', tag: '..', digest: `sha256:${H}` },
  ])('refuses %j, which no parser gives', (reference) => {
    expect(outcome(() => [manifestsPrefix(reference)])).toBe(BAD)
  })
})

describe('formatReference', () => {
  it.each([
    's3://my-bucket/myapp:v1.0',
    'local://./my-store/org/myapp:v1.0',
    'local:///store/app:v1',
    'local://.//app:v1',
    'local://../../store/app:v1',
    'local:///var/lib/images//team/app:v1',
    `gs://b/app@sha256:${H}`,
    `s3://b/app:v1@sha256:${H}`,
  ])('gives %s back', (text) => {
    expect(formatReference(parseReference(text))).toBe(text)
  })

  it('drops a double slash that is not needed and writes the default tag', () => {
    expect(formatReference(parseReference('local://store//app'))).toBe('local://store/app:latest')
  })

  it('writes an image of the store "." as one that can be read again', () => {
    const { scheme, bucket } = parseStoreReference('local://.')
    const text = formatReference({ scheme, bucket, name: 'a', tag: 'v1' })
    expect(text).toBe('local://.//a:v1')
    expect(parseReference(text)).toMatchObject({ bucket: './', name: 'a' })
  })

  it('is undone by parseReference', () => {
    const component = fc
      .string({
        unit: fc.constantFrom(...Array.from('ab.:@~é 🐳-_*#?%+')),
        minLength: 1,
        maxLength: 6,
      })
      .filter((text) => text !== '.' && text !== '..')
    const root = fc.tuple(
      fc.constantFrom('', './', '../', '../../', '/'),
      fc.array(component, { minLength: 1, maxLength: 4 }),
    )
    const bucket = fc.oneof(
      component.map((name) => ['s3', name] as const),
      root.map(([lead, parts]) => ['local', lead + parts.join('/')] as const),
    )
    const version = fc.oneof(
      component.filter((text) => !/[:@]/.test(text)).map((tag) => `:${tag}`),
      fc.constant(`@sha256:${H}`),
      fc.constant(''),
    )
    const text = fc
      .tuple(
        bucket,
        fc.array(component, { minLength: 1, maxLength: 4 }),
        version,
        fc.constantFrom('/', '//'),
      )
      .map(
        ([[scheme, place], name, end, separator]) =>
          `${scheme}://${place}${scheme === 's3' ? '/' : separator}${name.join('/')}${end}`,
      )
    let parsed = 0
    fc.assert(
      fc.property(text, (input) => {
        if (image(input) === BAD) return
        parsed++
        const reference = parseReference(input)
        expect(parseReference(formatReference(reference))).toStrictEqual(reference)
      }),
      { numRuns: 500 },
    )
    expect(parsed).toBeGreaterThan(125)
  })

  it('never throws anything but INVALID_REFERENCE', () => {
    const unit = fc.constantFrom(
      's3',
      'local',
      '://',
      '/',
      '.',
      ':',
      '@',
      '\\',
      '\n',
      'a',
      '//',
      '\uD800',
    )
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit })), (text) => {
        for (const parse of [
          parseReference,
          parseExplicitReference,
          parseStoreReference,
          parseConfigReference,
        ]) {
          const bucket = outcome(() => [parse(text).bucket])
          expect(bucket).not.toMatch(/^\w*Error/)
          expect(bucket).not.toBe('')
        }
        isStoreReference(text)
      }),
    )
  })
})
