import { expect, it } from 'vitest'
import { failureOf, networkFailure } from '../../src/transfer/failure.ts'

const WHAT = 's3://bucket/manifests/'

/** An error as Node's sockets throw it. */
function socketError(code: string, details: object = {}): Error {
  return Object.assign(new Error('said by the system'), { code, ...details })
}

it.each([
  [
    'a port without a listener is named',
    socketError('ECONNREFUSED', { address: '127.0.0.1', port: 9000 }),
    'nothing answers at 127.0.0.1:9000',
  ],
  [
    'an IPv6 address is written as in a URL',
    socketError('ECONNREFUSED', { address: '::1', port: 9000 }),
    'nothing answers at [::1]:9000',
  ],
  [
    'a refusal without an address has a sentence too',
    socketError('ECONNREFUSED'),
    'nothing answers at this address',
  ],
  [
    'an unknown name is named',
    new TypeError('fetch failed', {
      cause: socketError('ENOTFOUND', { hostname: 'minio.invalid' }),
    }),
    'the host name minio.invalid is not known',
  ],
  [
    'a service without TLS is no bug of ours',
    socketError('EPROTO'),
    'the service did not agree on a TLS connection',
  ],
])('%s', (_title, error, text) => {
  expect(networkFailure(error, WHAT)).toMatchObject({
    error: {
      code: 'UNAVAILABLE',
      message: `${WHAT}: ${text}`,
      hint: expect.stringMatching(/^check/),
    },
  })
})

it('what holds for a whole bucket does not name an object in it', () => {
  const meaning = { code: 'NOT_FOUND', text: 'the bucket does not exist', ofBucket: true } as const
  for (const what of ['s3://bucket', 's3://bucket/', 's3://bucket/.s3lo/probe/1/clock']) {
    expect(failureOf(meaning, what)).toMatchObject({
      error: { message: 's3://bucket: the bucket does not exist' },
    })
  }
})
