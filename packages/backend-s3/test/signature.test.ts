import { Sha256 } from '@smithy/core/checksum'
import { HttpRequest } from '@smithy/core/protocols'
import { SignatureV4 } from '@smithy/signature-v4'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { pathOf, queryString, signatureHeaders } from '../src/signature.ts'
import { ACCESS_KEY, SECRET_KEY } from './fake-s3.ts'

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed())

it("a signature is that of the SDK's signer, for any key, query, region and session", async () => {
  const scope = fc.record({
    key: text,
    query: fc.dictionary(
      text.filter((name) => name !== '' && name !== '__proto__'),
      text,
    ),
    region: fc.stringMatching(/^[a-z0-9-]+$/),
    token: fc.option(fc.stringMatching(/^[A-Za-z0-9+/=]*$/), { nil: undefined }),
    date: fc.date({
      min: new Date('2020-01-01'),
      max: new Date('2040-01-01'),
      noInvalidDate: true,
    }),
    method: fc.constantFrom('GET', 'HEAD'),
  })
  const property = fc.asyncProperty(scope, async ({ key, query, region, token, date, method }) => {
    const credentials = {
      accessKeyId: ACCESS_KEY,
      secretAccessKey: SECRET_KEY,
      ...(token !== undefined && { sessionToken: token }),
    }
    const host = 'bucket.s3.example:8443'
    const path = `/${pathOf(key)}`
    const signer = new SignatureV4({
      credentials,
      region,
      service: 's3',
      sha256: Sha256,
      uriEscapePath: false,
    })
    const expected = await signer.sign(
      new HttpRequest({ method, hostname: host, path, query, headers: { host } }),
      { signingDate: date },
    )
    const request = { method, host, path, query }
    expect(signatureHeaders(request, { credentials, region, date })).toEqual(expected.headers)
  })
  await fc.assert(property, { numRuns: 200 })
})

it('a query and a path are encoded but for what RFC 3986 leaves as it is', () => {
  expect(queryString({ b: "!'()* +~", a: 'ü/?', 'a-b': '' })).toBe(
    'a-b=&a=%C3%BC%2F%3F&b=%21%27%28%29%2A%20%2B~',
  )
  expect(pathOf('a b//c+(1)~')).toBe('a%20b//c%2B%281%29~')
})
