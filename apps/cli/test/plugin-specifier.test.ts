import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSpecifier } from '../src/plugin-specifier.ts'

describe('what can be installed', () => {
  it.each([
    ['s3lo-backend-foo', { kind: 'registry', name: 's3lo-backend-foo' }],
    ['s3lo-backend-foo@1.2.3', { kind: 'registry', name: 's3lo-backend-foo', version: '1.2.3' }],
    [
      '@acme/s3lo-backend-foo@^1',
      { kind: 'registry', name: '@acme/s3lo-backend-foo', version: '^1' },
    ],
    ['@s3lo/backend-s3@next', { kind: 'registry', name: '@s3lo/backend-s3', version: 'next' }],
  ])('is a package: %s', (specifier, expected) => {
    expect(parseSpecifier(specifier)).toEqual(expected)
  })

  it.each(['./folder', '../x', '/tmp/x', '.', '..', 'x.tgz', 'a/x.tar.gz', './x.tgz', 'file:x'])(
    'is a path: %s',
    (text) => {
      const path = resolve(text.replace('file:', ''))
      expect(parseSpecifier(text)).toEqual({ kind: 'file', path })
    },
  )

  it.each([
    '--global',
    '-x.tgz',
    'file:',
    'file://x.tgz',
    'http://x/y.tgz',
    'github:a/b.tgz',
    'git@x:y.tgz',
    '-g',
    'git+https://x/y',
    'https://x/y.tgz',
    'user/repo',
    'a b',
    'X',
    '',
    '@',
    '@scope',
    '@scope/',
    'foo@',
    'foo@file:../x',
    'foo@npm:bar',
    'foo\n--global',
    'node_modules/x',
  ])('is not %j', (specifier) => {
    expect(() => parseSpecifier(specifier)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})
