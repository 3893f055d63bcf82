import { isS3loError } from '@s3lo/core'
import { assert, property, string, stringMatching, oneof } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRegistryName } from '../src/index.ts'
import { isPlainHttpHost } from '../src/registry-name.ts'

const SHA256 = `sha256:${'a'.repeat(64)}`
const SHA512 = `sha512:${'b'.repeat(128)}`

describe('a name', () => {
  it.each([
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['//alpine', 'docker.io/library/alpine:latest'],
    ['//ghcr.io/org/app:v1', 'ghcr.io/org/app:v1'],
    ['team/app', 'docker.io/team/app:latest'],
    ['library/alpine', 'docker.io/library/alpine:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['index.docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['registry-1.docker.io/library/alpine', 'docker.io/library/alpine:latest'],
    ['docker.io/team/app', 'docker.io/team/app:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['127.0.0.1:5000/a/b/c', '127.0.0.1:5000/a/b/c:latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    ['[2001:db8::1]/app', '[2001:db8::1]/app:latest'],
    ['registry:5000/app', 'registry:5000/app:latest'],
    ['GHCR.io/org/app', 'ghcr.io/org/app:latest'],
    ['ghcr.io/org/app:V1.0_x-y', 'ghcr.io/org/app:V1.0_x-y'],
    ['a.b/c__d/e--f/g.h', 'a.b/c__d/e--f/g.h:latest'],
    [`alpine@${SHA256}`, `docker.io/library/alpine@${SHA256}`],
    [`ghcr.io/org/app:v1@${SHA256}`, `ghcr.io/org/app:v1@${SHA256}`],
    [`ghcr.io/org/app@${SHA512}`, `ghcr.io/org/app@${SHA512}`],
    [`${'a'.repeat(255)}.io/${'b'.repeat(255)}`, `${'a'.repeat(255)}.io/${'b'.repeat(255)}:latest`],
  ])('%s is %s', (text, full) => {
    const { host, reference } = parseRegistryName(text)
    const tag = reference.tag === undefined ? '' : `:${reference.tag}`
    const digest = reference.digest === undefined ? '' : `@${reference.digest}`
    expect(`${host}/${reference.name}${tag}${digest}`).toBe(full)
  })

  it('of Docker Hub is asked at its API host', () => {
    expect(parseRegistryName('alpine').apiHost).toBe('registry-1.docker.io')
    expect(parseRegistryName('ghcr.io/a/b').apiHost).toBe('ghcr.io')
  })

  it.each([
    '',
    '//',
    ':latest',
    '@',
    'Alpine',
    'ghcr.io/Org/app',
    'ghcr.io/',
    'ghcr.io//app',
    'ghcr.io/app/',
    'a..b/c..d',
    'a___b',
    '-a',
    'a-',
    'a/.b',
    'a/../b',
    'app:',
    'app:-x',
    `app:${'x'.repeat(129)}`,
    'app:a:b',
    'app@sha256:abc',
    'app@sha256:4f2a0123',
    `app@${SHA256.toUpperCase()}`,
    `app@md5:${'a'.repeat(32)}`,
    `app@${SHA256}@${SHA256}`,
    'a'.repeat(64),
    `ghcr.io/${'a'.repeat(256)}`,
    'host:99999/app',
    'registry.1/app',
    '127.1/app',
    'host:port/app',
    'ho_st.io/app',
    '-host.io/app',
    'user:password@host.io/app',
    'https://host.io/app',
    'a b',
    'a\nb',
    'a%2fb',
    'ä/b',
    'x'.repeat(100_000),
  ])('%j is refused', (text) => {
    expect(codeOf(text)).toBe('INVALID_REFERENCE')
  })

  it('of any form is read or refused', () => {
    const parts = stringMatching(/^[a-zA-Z0-9./:@_[\]-]{0,60}$/)
    assert(
      property(oneof(string({ unit: 'binary' }), parts), (text) => {
        const code = codeOf(text)
        expect(['none', 'INVALID_REFERENCE']).toContain(code)
        if (code !== 'none') return
        const { host, apiHost, reference } = parseRegistryName(text)
        expect(URL.canParse(`https://${apiHost}/v2/${reference.name}/`)).toBe(true)
        // A host of one word is known by its capitals, which are gone: `A/app` is on `a`.
        if (!/[.:]/.test(host) && host !== 'localhost') return
        const again = parseRegistryName(
          `${host}/${reference.name}${reference.tag === undefined ? '' : `:${reference.tag}`}`,
        )
        expect(again.reference.name).toBe(reference.name)
      }),
    )
  })
})

it.each([
  ['localhost', true],
  ['localhost:5000', true],
  ['127.0.0.1:5000', true],
  ['127.1.2.3', true],
  ['[::1]:5000', true],
  ['localhost.example.com', false],
  ['127.0.0.1.example.com', false],
  ['10.0.0.1', false],
  ['ghcr.io', false],
])('%s without TLS: %s', (host, plain) => {
  expect(isPlainHttpHost(host)).toBe(plain)
})

function codeOf(text: string): string {
  try {
    parseRegistryName(text)
    return 'none'
  } catch (error) {
    return isS3loError(error) ? error.code : String(error)
  }
}
