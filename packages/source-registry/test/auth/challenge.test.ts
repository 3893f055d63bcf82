import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseChallenges } from '../../src/auth/challenge.ts'

/** Challenges as plain data. */
function parsed(header: string) {
  return parseChallenges(header).map(({ scheme, parameters, token68 }) => ({
    scheme,
    ...Object.fromEntries(parameters),
    ...(token68 === undefined ? {} : { token68 }),
  }))
}

describe('parseChallenges', () => {
  it('keeps commas that are inside quotes', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:team/app:pull,push"'
    expect(parsed(header)).toEqual([
      {
        scheme: 'bearer',
        realm: 'https://auth.docker.io/token',
        service: 'registry.docker.io',
        scope: 'repository:team/app:pull,push',
      },
    ])
  })

  it('undoes the escapes of quoted texts', () => {
    expect(parsed(String.raw`Basic realm="a \"b\", \\c"`)).toEqual([
      { scheme: 'basic', realm: String.raw`a "b", \c` },
    ])
  })

  it('reads several challenges in one header', () => {
    expect(
      parsed('Negotiate, Basic realm="a, b", charset="UTF-8", Bearer realm="https://x/t"'),
    ).toEqual([
      { scheme: 'negotiate' },
      { scheme: 'basic', realm: 'a, b', charset: 'UTF-8' },
      { scheme: 'bearer', realm: 'https://x/t' },
    ])
  })

  it('reads the example of RFC 9110', () => {
    expect(
      parsed('Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""'),
    ).toEqual([
      { scheme: 'basic', realm: 'simple' },
      { scheme: 'newauth', realm: 'apps', type: '1', title: 'Login to "apps"' },
    ])
  })

  it('reads a token68 in place of parameters', () => {
    expect(parsed('Negotiate a87421000492aa874209af8bc028==, Bearer realm=x')).toEqual([
      { scheme: 'negotiate', token68: 'a87421000492aa874209af8bc028==' },
      { scheme: 'bearer', realm: 'x' },
    ])
  })

  it('takes spaces around the equals sign, empty list members and names in any case', () => {
    expect(parsed(' , ,BEARER Realm = "https://x/t" ,, SERVICE= s ,')).toEqual([
      { scheme: 'bearer', realm: 'https://x/t', service: 's' },
    ])
  })

  it('takes a URL without its quotes', () => {
    expect(parsed('Bearer realm=https://x/t?a=b,service=s')).toEqual([
      { scheme: 'bearer', realm: 'https://x/t?a=b', service: 's' },
    ])
  })

  it('keeps the first value of a parameter that comes twice', () => {
    expect(parsed('Bearer realm="https://good/t",realm="https://evil/t"')).toEqual([
      { scheme: 'bearer', realm: 'https://good/t' },
    ])
  })

  it.each(['', ',', '"', '=', 'realm="x"', '"Bearer realm=x"', '\u0000', '\\', 'é'])(
    'finds nothing in %j',
    (header) => {
      expect(parseChallenges(header)).toEqual([])
    },
  )

  it('reads to the end what is never closed', () => {
    expect(parsed('Bearer realm="https://x/t')).toEqual([
      { scheme: 'bearer', realm: 'https://x/t' },
    ])
    expect(parsed('Bearer realm="a\\')).toEqual([{ scheme: 'bearer', realm: 'a' }])
  })

  it('bounds how much it keeps', () => {
    expect(parseChallenges('a,'.repeat(1_000_000)).length).toBeLessThanOrEqual(16)
    const parameters = Array.from({ length: 1000 }, (_, i) => `p${i}=v`).join(',')
    expect(parseChallenges(`Bearer ${parameters}`)[0]?.parameters.size).toBeLessThanOrEqual(32)
  })

  it('never throws and never takes long, with any input', () => {
    const piece = fc.constantFrom(
      'Bearer',
      'realm',
      '=',
      '"',
      '\\',
      ',',
      ' ',
      '\t',
      'a',
      '==',
      '\n',
    )
    const header = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 200 }).map((pieces) => pieces.join('')),
      fc.tuple(piece, fc.nat(100_000)).map(([text, count]) => `Bearer ${text.repeat(count)}`),
    )
    fc.assert(
      fc.property(header, (text) => {
        for (const { scheme } of parseChallenges(text)) expect(scheme).not.toBe('')
      }),
      { numRuns: 500, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
    )
  })

  it('reads back what a server writes by the rules', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,10}$/)
    const value = fc.string({
      unit: fc.constantFrom('a', 'b', ' ', ',', '=', '"', '\\', ':', 'é'),
      maxLength: 20,
    })
    const parameters = fc.dictionary(name, value, { minKeys: 1, maxKeys: 5, noNullPrototype: true })
    const challenge = fc.record({ scheme: name, parameters })
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 5 }), (challenges) => {
        const header = challenges.map(format).join(', ')
        const expected = challenges.map(({ scheme, parameters: all }) => ({
          scheme,
          parameters: new Map(Object.entries(all)),
        }))
        expect(parseChallenges(header)).toEqual(expected)
      }),
    )
  })
})

function format({
  scheme,
  parameters,
}: {
  readonly scheme: string
  readonly parameters: Readonly<Record<string, string>>
}): string {
  const pairs = Object.entries(parameters).map(
    ([name, value]) => `${name}="${value.replaceAll(/["\\]/g, String.raw`\$&`)}"`,
  )
  return `${scheme} ${pairs.join(', ')}`
}
