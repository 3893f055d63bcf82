import { S3loError } from '@s3lo/core'
import { expect, it } from 'vitest'
import { toConnectionError, toStatusError } from '../src/engine/engine-error.ts'

const address = {
  kind: 'socket',
  text: 'unix:///run/docker.sock',
  path: '/run/docker.sock',
} as const

it.each([
  ['EACCES', 'FORBIDDEN'],
  ['EPERM', 'FORBIDDEN'],
  ['ENOENT', 'UNAVAILABLE'],
  ['ECONNREFUSED', 'UNAVAILABLE'],
  ['ECONNRESET', 'UNAVAILABLE'],
  ['ENOTFOUND', 'UNAVAILABLE'],
  ['ETIMEDOUT', 'UNAVAILABLE'],
  ['CERT_HAS_EXPIRED', 'UNSUPPORTED'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'UNSUPPORTED'],
])('a connection that fails with %s is %s, names the engine and has a hint', (code, expected) => {
  const error = toConnectionError(Object.assign(new Error('why'), { code }), address)
  expect(error.code).toBe(expected)
  expect(error.message).toContain(address.text)
  expect(error.hint).toBeDefined()
})

it('leaves an error of ours as it is', () => {
  const error = new S3loError('IO', 'the disk is full')
  expect(toConnectionError(error, address)).toBe(error)
})

it.each([
  [400, 'UNSUPPORTED'],
  [401, 'UNAUTHORIZED'],
  [403, 'FORBIDDEN'],
  [404, 'NOT_FOUND'],
  [429, 'UNAVAILABLE'],
  [503, 'UNAVAILABLE'],
])('an answer with status %i is %s', (status, code) => {
  expect(toStatusError(status, 'why', 'image app:v1').code).toBe(code)
})
