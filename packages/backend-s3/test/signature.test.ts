import { Sha256 } from '@smithy/core/checksum'
import { HttpRequest } from '@smithy/core/protocols'
import { SignatureV4 } from '@smithy/signature-v4'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  LONGEST_SIGNATURE_S,
  pathOf,
  queryString,
  signatureHeaders,
  signedQuery,
} from '../src/signature.ts'
import { ACCESS_KEY, SECRET_KEY } from './fake-s3.ts'

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed())
const header = fc.stringMatching(/^[!-~]+( +[!-~]+){0,3}$/)
const scopes = fc.record({
  region: fc.stringMatching(/^[a-z0-9-]+$/),
  date: fc.date({
    min: new Date('2020-01-01'),
    max: new Date('2040-01-01'),
    noInvalidDate: true,
  }),
  service: fc.constantFrom('s3', 's3express', 's3-outposts'),
  token: fc.option(fc.stringMatching(/^[A-Za-z0-9+/=]*$/), { nil: undefined }),
})
const requests = fc.record({
  method: fc.constantFrom('GET', 'HEAD'),
  key: text,
  query: fc.dictionary(
    text.filter((name) => name !== '' && name !== '__proto__'),
    text,
  ),
  headers: fc.dictionary(fc.stringMatching(/^x-amz-[a-z0-9-]+$/), header),
})
const writes = fc.record({
  method: fc.constantFrom('PUT', 'POST', 'DELETE'),
  key: text,
  query: fc.constant({}),
  headers: fc.dictionary(
    fc.constantFrom('content-md5', 'content-type', 'if-match', 'if-none-match', 'x-amz-meta-a'),
    header,
  ),
})

const host = 'bucket.s3.example:8443'

/** A request and what it is signed with, for this signer and for that of the SDK. */
function asked(
  {
    key,
    ...request
  }: Omit<Parameters<typeof signatureHeaders>[0], 'host' | 'path'> & {
    readonly key: string
  },
  {
    token,
    ...scope
  }: { readonly token: string | undefined; readonly region: string } & Omit<
    Parameters<typeof signatureHeaders>[1],
    'credentials'
  >,
) {
  const credentials = {
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
    ...(token !== undefined && { sessionToken: token }),
  }
  const path = `/${pathOf(key)}`
  const { region, service = 's3' } = scope
  const about = { credentials, region, service, sha256: Sha256, uriEscapePath: false }
  return {
    ours: { ...request, host, path },
    scope: { ...scope, credentials },
    signer: new SignatureV4(about),
    theirs: (body?: Uint8Array, more: Readonly<Record<string, string>> = {}) =>
      new HttpRequest({
        ...request,
        hostname: host,
        path,
        headers: { host, ...request.headers, ...more },
        body,
      }),
  }
}

describe("a signature is that of the SDK's signer", () => {
  it.each([
    ['reads', requests],
    ['writes', writes],
  ] as const)('in the headers of %s, with any body', async (_, kind) => {
    const body = fc.uint8Array({ minLength: 1, maxLength: 64 })
    const property = fc.asyncProperty(kind, scopes, body, async (request, about, bytes) => {
      const { ours, scope, signer, theirs } = asked(request, about)
      const expected = await signer.sign(theirs(bytes), { signingDate: about.date })
      const payload = expected.headers['x-amz-content-sha256']
      const added = signatureHeaders(ours, scope, payload)
      expect({ ...ours.headers, ...added }).toEqual(expected.headers)
    })
    await fc.assert(property, { numRuns: 200 })
  })

  it('in the query of a write that ends', async () => {
    const seconds = fc.integer({ min: 1, max: LONGEST_SIGNATURE_S })
    const property = fc.asyncProperty(writes, scopes, seconds, async (request, about, length) => {
      const { scope, signer, theirs } = asked(request, about)
      // Where the SDK says that the body is not signed, this signer says nothing, as it need not.
      const unsigned = { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }
      const expected = await signer.presign(theirs(undefined, unsigned), {
        signingDate: about.date,
        expiresIn: length,
        unhoistableHeaders: new Set(Object.keys(request.headers)),
        signableHeaders: new Set(Object.keys(request.headers)),
      })
      const query = { ...request.query, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }
      const { ours } = asked({ ...request, query }, about)
      const parameters = new URLSearchParams(signedQuery(ours, scope, length))
      expect(Object.fromEntries(parameters)).toEqual(expected.query)
    })
    await fc.assert(property, { numRuns: 200 })
  })
})

/** The examples of AWS's own documentation, "Authenticating Requests (AWS Signature Version 4)". */
describe('a signature is the one that AWS has published', () => {
  const scope = {
    credentials: {
      accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    },
    region: 'us-east-1',
    date: new Date('2013-05-24T00:00:00Z'),
  }
  const request = { method: 'GET', host: 'examplebucket.s3.amazonaws.com', path: '/', query: {} }
  const signatureIn = ({ authorization = '' }: Readonly<Record<string, string>>): string =>
    authorization.replace(/^.*Signature=/, '')

  it.each([
    [{ lifecycle: '' }, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [
      { prefix: 'J', 'max-keys': '2' },
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ])('for %j', (query, expected) => {
    expect(signatureIn(signatureHeaders({ ...request, query }, scope))).toBe(expected)
  })

  it('for a URL that ends', () => {
    const query = signedQuery({ ...request, path: '/test.txt' }, scope, 86_400)
    expect(query).toBe(
      'X-Amz-Algorithm=AWS4-HMAC-SHA256' +
        '&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
        '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
        '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })
})

it('the key of another secret or day is not used again', () => {
  const request = { method: 'GET', host, path: '/', query: {} }
  const sign = (secretAccessKey: string, day: string): string | undefined =>
    signatureHeaders(request, {
      credentials: { accessKeyId: ACCESS_KEY, secretAccessKey },
      region: 'us-east-1',
      date: new Date(day),
    })['authorization']
  const first = sign('a', '2026-11-21')
  expect(new Set([first, sign('b', '2026-11-21'), sign('a', '2026-11-22')]).size).toBe(3)
  expect(sign('a', '2026-11-21')).toBe(first)
})

it('the bytes of a header are signed, as the service gets them', () => {
  const request = { method: 'PUT', host, path: '/', query: {} }
  const scope = {
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    region: 'us-east-1',
    date: new Date('2026-11-21'),
  }
  // Two bytes of UTF-8, of which the second one is no blank, though it looks like one.
  const sign = (value: string): string | undefined =>
    signatureHeaders({ ...request, headers: { 'x-amz-meta-a': value } }, scope)['authorization']
  const own = sign('\u00c3\u00a0')
  expect(own).toMatch(/Signature=41433b7ad749dd37faf9d9ce2c8cb3c46f16da30a0db1e2b7fae46660c958794$/)
  expect(new Set([own, sign('\u00c3'), sign('\u00e0')]).size).toBe(3)
  expect(sign('  \u00c3\u00a0 \t')).toBe(own)
})

it('a query and a path are encoded but for what RFC 3986 leaves as it is', () => {
  expect(queryString({ b: "!'()* +~", a: 'ü/?', 'a-b': '' })).toBe(
    'a=%C3%BC%2F%3F&a-b=&b=%21%27%28%29%2A%20%2B~',
  )
  expect(pathOf('a b//c+(1)~')).toBe('a%20b//c%2B%281%29~')
})
