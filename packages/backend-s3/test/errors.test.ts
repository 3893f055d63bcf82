import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { S3loError } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { toFailure } from '../src/errors.ts'
import {
  ACCESS_KEY,
  answer,
  facts,
  failureOf,
  FakeS3,
  keysOf,
  page,
  refuse,
  reset,
  resolveToLoopback,
  SECRET_KEY,
  SESSION_TOKEN,
  xml,
  useFakeS3,
} from './fake-s3.ts'
import { SELF_SIGNED } from './self-signed.ts'

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.restoreAllMocks())

describe('the error codes of the service', () => {
  const table: readonly [number, string, string, RegExp][] = [
    [403, 'InvalidAccessKeyId', 'UNAUTHORIZED', /AWS_ACCESS_KEY_ID/],
    [403, 'SignatureDoesNotMatch', 'UNAUTHORIZED', /secret access key/],
    [400, 'ExpiredToken', 'UNAUTHORIZED', /aws sso login/],
    [400, 'InvalidToken', 'UNAUTHORIZED', /AWS_SESSION_TOKEN/],
    [403, 'RequestTimeTooSkewed', 'UNAUTHORIZED', /set the clock/],
    [403, 'AccessDenied', 'FORBIDDEN', /docs\/backends\/s3.md/],
    [403, 'AllAccessDisabled', 'FORBIDDEN', /permissions/],
    [404, 'NoSuchBucket', 'NOT_FOUND', /create it, or check its name/],
    [404, 'NoSuchKey', 'NOT_FOUND', /^$/],
    [403, 'InvalidObjectState', 'UNSUPPORTED', /restore it first/],
    [501, 'NotImplemented', 'UNSUPPORTED', /^$/],
    [405, 'MethodNotAllowed', 'UNSUPPORTED', /^$/],
    [400, 'KeyTooLongError', 'INVALID_REFERENCE', /^$/],
    [507, 'QuotaExceeded', 'UNAVAILABLE', /^$/],
    [400, 'SomethingNew', 'UNSUPPORTED', /^$/],
    [401, 'SomethingNew', 'UNAUTHORIZED', /AWS_ACCESS_KEY_ID/],
  ]
  it.each(table)('%i %s is %s, at once and with its hint', async (status, reason, code, hint) => {
    service.script(refuse(status, reason))
    const error = await failureOf(service.backend().get('key'))
    expect([error.code, service.requests.length]).toEqual([code, 1])
    expect(error.hint ?? '').toMatch(hint)
    expect(error.message).toMatch(
      reason === 'NoSuchBucket' ? /^s3:\/\/bucket: / : /^s3:\/\/bucket\/key/,
    )
  })

  it.each([
    [500, 'InternalError'],
    [503, 'SlowDown'],
    [503, 'ServiceUnavailable'],
    [400, 'RequestTimeout'],
    [429, 'TooManyRequests'],
    [409, 'OperationAborted'],
  ])('%i %s passes', async (status, reason) => {
    service.script(refuse(status, reason), page(['a']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a'])
  })

  it('an error in an answer that began with 200 is one', async () => {
    const late = xml('<Error><Code>InternalError</Code><Message>no</Message></Error>')
    const done = xml(
      '<CopyObjectResult><ETag>"e9"</ETag><LastModified>2026-11-21T06:00:00Z</LastModified>' +
        '</CopyObjectResult>',
    )
    service.script(facts(), late, done)
    const backend = service.backend()
    expect((await backend.copyFrom(backend, 'from', 'to'))?.etag).toBe('e9')
  })
})

describe('answers that say little', () => {
  it.each([
    [403, 'FORBIDDEN'],
    [401, 'UNAUTHORIZED'],
    [400, 'UNSUPPORTED'],
    [405, 'UNSUPPORTED'],
    [503, 'UNAVAILABLE'],
  ])('%i to a HEAD is %s, in words', async (status, code) => {
    const empty = answer(status)
    service.script(empty, empty, empty, empty)
    const error = await failureOf(service.backend().head('key'))
    expect(error.code).toBe(code)
    expect(error.message).not.toMatch(/UnknownError|undefined|^$/)
  })

  it.each([
    ['a page of a proxy', '<html><body>login</body>'],
    ['nothing', ''],
    ['XML that was cut off', '<?xml version="1.0"?><ListBucketResult><Contents><Ke'],
    ['text', 'hello'],
  ])('a refusal with %s is told by its status', async (_, body) => {
    service.script(answer(403, {}, body))
    expect((await failureOf(keysOf(service.backend().list('')))).code).toBe('FORBIDDEN')
  })

  it('a listing that was cut off is asked for again', async () => {
    const cut = answer(200, {}, '<?xml version="1.0"?><ListBucketResult><Contents><Ke')
    service.script(cut, page(['a']))
    expect(await keysOf(service.backend().list(''))).toEqual(['a'])
  })

  it('a missing object is one only when its bucket is there', async () => {
    service.script(answer(404), answer(200))
    expect(await service.backend().head('key')).toBeUndefined()
    service.script(answer(404), answer(404))
    const error = await failureOf(service.backend().head('key'))
    expect([error.code, error.message]).toEqual([
      'NOT_FOUND',
      's3://bucket: the bucket does not exist',
    ])
  })
})

describe('a wrong clock', () => {
  const date = new Date(Date.now() - 3_600_000).toUTCString()

  it.each(['RequestTimeTooSkewed', 'AccessDenied', 'SignatureDoesNotMatch'])(
    'is named with its minutes for %s',
    async (reason) => {
      service.script(refuse(403, reason, { headers: { date } }))
      const error = await failureOf(service.backend().get('key'))
      expect([error.code, error.hint]).toEqual([
        'UNAUTHORIZED',
        "this machine's clock is 60 minutes off: set it",
      ])
    },
  )

  it('is not blamed for what has nothing to do with it', async () => {
    service.script(refuse(404, 'NoSuchBucket', { headers: { date } }))
    expect((await failureOf(service.backend().get('key'))).hint).not.toMatch(/clock/)
  })
})

describe('credentials', () => {
  it('are in no error, however deep one looks', async () => {
    const echo = `<AWSAccessKeyId>${ACCESS_KEY}</AWSAccessKeyId><StringToSign>${SECRET_KEY}</StringToSign>`
    const refusal = refuse(403, 'SignatureDoesNotMatch', { xml: echo })
    const notAfter = new Date('2031-01-01')
    const calls: readonly (() => Promise<unknown>)[] = [
      () => service.backend().head('key'),
      () => service.backend().get('key'),
      () => service.aws().put('key', Buffer.from('x'), { notAfter }),
      () => keysOf(service.backend().list('')),
      () => service.backend().touch('key'),
      async () => {
        const [failure] = await service.aws().delete(['key'], { notAfter })
        throw failure?.error
      },
    ]
    for (const call of calls) {
      service.script(refusal)
      const text = inspect(await failureOf(call()), { depth: 20, showHidden: true })
      expect(text).toContain('HTTP 403')
      expect(text).not.toMatch(/Signature=|authorization|x-amz-security-token/i)
      for (const secret of [ACCESS_KEY, SECRET_KEY, SESSION_TOKEN]) {
        expect(text).not.toContain(secret)
      }
    }
  })

  it('are in no error of a connection', async () => {
    service.script(reset, reset, reset, reset)
    const error = await failureOf(service.backend().put('key', Buffer.from('x')))
    const text = inspect(error, { depth: 20, showHidden: true })
    expect(text).not.toMatch(new RegExp(`${SECRET_KEY}|${SESSION_TOKEN}|Signature=`))
  })

  it('that cannot be found are asked for', () => {
    const names = ['CredentialsProviderError', 'TokenProviderError', 'ProviderError']
    for (const name of names) {
      const { error, retryable } = toFailure(Object.assign(new Error('no'), { name }), 's3://b')
      expect(error).toMatchObject({
        code: 'UNAUTHORIZED',
        hint: expect.stringContaining('aws sso'),
      })
      expect(retryable).toBe(false)
    }
  })
})

describe('connections', () => {
  it('to a closed port fail after some attempts', async () => {
    const closed = await FakeS3.start()
    await closed.close()
    const error = await failureOf(closed.backend().head('key'))
    expect([error.code, error.message, closed.delays.length]).toEqual([
      'UNAVAILABLE',
      `s3://bucket/key: nothing answers at 127.0.0.1:${closed.port}`,
      3,
    ])
  })

  it('to an unknown name fail at once', async () => {
    service.script()
    const backend = service.backend({ endpoint: 'http://nowhere.invalid' })
    const error = await failureOf(backend.head('key'))
    expect([error.code, error.message, service.delays]).toEqual([
      'UNAVAILABLE',
      's3://bucket/key: the host name is not known',
      [],
    ])
  })

  it('that are meant to be TLS and meet none fail at once, as what they are', async () => {
    const endpoint = `https://127.0.0.1:${service.port}`
    const error = await failureOf(service.backend({ endpoint }).head('key'))
    expect([error.code, error.message, service.delays]).toEqual([
      'UNAVAILABLE',
      's3://bucket/key: the service did not agree on a TLS connection',
      [],
    ])
  })

  it('are TLS that is trusted, or fail at once', async () => {
    const secure = await FakeS3.start(SELF_SIGNED)
    const folder = await mkdtemp(join(tmpdir(), 's3lo-ca-'))
    try {
      const file = join(folder, 'ca.pem')
      await writeFile(file, SELF_SIGNED.cert)
      const endpoint = `https://127.0.0.1:${secure.port}`
      const error = await failureOf(secure.backend({ endpoint }).head('key'))
      expect([error.code, error.message, secure.delays]).toEqual([
        'UNSUPPORTED',
        's3://bucket/key: the certificate of the service is not trusted',
        [],
      ])
      secure.script(facts())
      const env = { AWS_CA_BUNDLE: file }
      expect(await secure.backend({ endpoint, env }).head('key')).toMatchObject({ etag: 'e1' })
    } finally {
      await rm(folder, { recursive: true })
      await secure.close()
    }
  })

  it('with a CA file that is not there are not opened', () => {
    const env = { AWS_CA_BUNDLE: join(tmpdir(), 's3lo-no-such-file') }
    expect(() => service.backend({ env })).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  it.each([
    ['EAI_AGAIN', 'UNAVAILABLE', true],
    ['ECONNRESET', 'UNAVAILABLE', true],
    ['HPE_INVALID_CONSTANT', 'UNAVAILABLE', true],
    ['CERT_HAS_EXPIRED', 'UNSUPPORTED', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'UNSUPPORTED', false],
  ])('that fail with %s are %s (again: %s)', (socketCode, code, retryable) => {
    const socketError = Object.assign(new Error('no'), { code: socketCode })
    expect(toFailure(socketError, 's3://b/key')).toMatchObject({ retryable, error: { code } })
  })

  it('are not blamed for what is a mistake of this program', () => {
    const bug = new TypeError('x is not a function')
    expect(toFailure(bug, 's3://b/key')).toEqual({ error: bug, retryable: false })
  })

  it('say what happened in a sentence of their own', () => {
    const codes = ['ENOTFOUND', 'ECONNREFUSED', 'CERT_HAS_EXPIRED', 'ECONNRESET']
    const messages = codes.map((code) => {
      const { error } = toFailure(Object.assign(new Error('no'), { code }), 's3://b/key')
      return (error as S3loError).message
    })
    expect(new Set(messages).size).toBe(codes.length)
  })
})
