import { RestError } from '@azure/storage-blob'
import type { S3loError } from '@s3lo/core'
import { expect, it } from 'vitest'
import { toFailure } from '../src/errors.ts'

const table: readonly [string, string, boolean][] = [
  ['ENOTFOUND', 'UNAVAILABLE', false],
  ['EAI_AGAIN', 'UNAVAILABLE', true],
  ['ECONNREFUSED', 'UNAVAILABLE', true],
  ['ECONNRESET', 'UNAVAILABLE', true],
  ['HPE_INVALID_CONSTANT', 'UNAVAILABLE', true],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'UNSUPPORTED', false],
  ['CERT_HAS_EXPIRED', 'UNSUPPORTED', false],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'UNSUPPORTED', false],
]

it.each(table)('a socket that fails with %s is %s (again: %s)', (socketCode, code, retryable) => {
  const failure = toFailure(new RestError('no', { code: socketCode }), 'az://b/key')
  expect(failure).toMatchObject({ retryable, error: { code } })
})

it('each way of not getting through has a sentence and a hint of its own', () => {
  const codes = ['ENOTFOUND', 'ECONNREFUSED', 'CERT_HAS_EXPIRED', 'ECONNRESET']
  const failures = codes.map((code) => toFailure(new RestError('no', { code }), 'az://b/key'))
  expect(failures.map(({ error }) => (error as S3loError).message)).toEqual([
    'az://b/key: the host name is not known',
    'az://b/key: nothing answers at this address',
    'az://b/key: the certificate of the service is not trusted',
    'az://b/key: the connection failed',
  ])
})

it('an identity that does not work is UNAUTHORIZED', () => {
  const error = Object.assign(new Error('tried everything'), { name: 'CredentialUnavailableError' })
  expect(toFailure(error, 'az://b/key')).toMatchObject({ error: { code: 'UNAUTHORIZED' } })
})

it('what no store can cause is passed on as it is', () => {
  const error = new TypeError('a bug')
  expect(toFailure(error, 'az://b/key')).toEqual({ error, retryable: false })
})
