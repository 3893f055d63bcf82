import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { s3Backend } from '../src/index.ts'
import {
  ACCESS_KEY,
  answer,
  type Answer,
  content,
  facts,
  failureOf,
  keysOf,
  page,
  refuse,
  resolveToLoopback,
  SECRET_KEY,
  textOf,
  useFakeS3,
  written,
  xml,
} from './fake-s3.ts'

const service = await useFakeS3()
beforeEach(() => resolveToLoopback())
afterEach(() => void vi.restoreAllMocks())

/** What a program loads that does `work` with the backend. */
async function loadedBy(work: string): Promise<string> {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    const { getBuiltinModule } = process
    process.getBuiltinModule = (name) => (loaded.push(name), getBuiltinModule(name))
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    const { openBackend } = await import('@s3lo/backend-s3')
    const env = {
      AWS_ACCESS_KEY_ID: '${ACCESS_KEY}', AWS_SECRET_ACCESS_KEY: '${SECRET_KEY}',
      AWS_ENDPOINT_URL_S3: '${service.url}',
    }
    const backend = await openBackend({ scheme: 's3', bucket: 'bucket' }, { env })
    ${work}
    await backend.close()
    const sdk = loaded.some((url) => /[/](client-s3|credential-provider-node)[/]/.test(url))
    const tls = loaded.some((name) => /^node:(https|tls)$/.test(name))
    console.log(sdk ? 'SDK' : 'no SDK', tls ? 'TLS' : 'no TLS')`
  const flags = ['--conditions=s3lo-source', '--input-type=module', '--eval', program]
  const cwd = join(import.meta.dirname, '..')
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd })
  return stdout.trim()
}

const copied = xml(
  '<CopyObjectResult><ETag>"e"</ETag><LastModified>2026-11-21T06:00:00Z</LastModified></CopyObjectResult>',
)

describe('a request', () => {
  it('loads neither the SDK nor, for a service without TLS, what speaks it', async () => {
    service.script(page(['a']), facts(), written(), answer(204), facts(), copied)
    const work = `
      for await (const _ of backend.list(''));
      await backend.head('a')
      await backend.put('a', Buffer.from('x'))
      await backend.delete(['a\\u0001'])
      await backend.copyFrom(backend, 'a', 'b')`
    expect(await loadedBy(work)).toBe('no SDK no TLS')
  })
})

describe('a directory bucket', () => {
  /** A session that ends at a moment. */
  const session = (end: Date): Answer =>
    xml(
      '<CreateSessionResult><Credentials><SessionToken>T</SessionToken><SecretAccessKey>S</SecretAccessKey>' +
        `<AccessKeyId>OFTHESESSION</AccessKeyId><Expiration>${end.toISOString()}</Expiration>` +
        '</Credentials></CreateSessionResult>',
    )
  const inMs = (ms: number): Date => new Date(Date.now() + ms)
  const directory = () =>
    s3Backend('images--use1-az4--x-s3', {
      endpoint: `http://s3.amazonaws.com:${service.port}`,
      region: 'us-east-1',
      env: { AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET_KEY },
    })

  it('is signed for with the key of a session, which is asked for once', async () => {
    service.script(
      session(inMs(300_000)),
      facts({ 'content-length': '7' }),
      content('0123456789'),
      written(),
    )
    const backend = directory()
    expect(await backend.head('a b')).toMatchObject({ key: 'a b', size: 7 })
    expect(await textOf(backend.get('a b'))).toBe('0123456789')
    await backend.put('c', Buffer.from('x'))
    await backend.close()
    expect(service.seen).toEqual(['GET /?session=', 'HEAD /a%20b', 'GET /a%20b', 'PUT /c'])
    const [opening, ...others] = service.requests.map(({ headers }) => headers)
    expect(opening?.host).toBe(`images--use1-az4--x-s3.s3.amazonaws.com:${service.port}`)
    expect(opening?.authorization).toMatch(new RegExp(`Credential=${ACCESS_KEY}/.*/s3express/`))
    for (const headers of others) {
      expect(headers.authorization).toMatch(/Credential=OFTHESESSION\/.*\/s3express\//)
      expect(headers.authorization).toContain('x-amz-s3session-token')
      expect(headers['x-amz-s3session-token']).toBe('T')
    }
  })

  it('is given another session before one ends', async () => {
    service.script(session(inMs(59_000)), facts(), session(inMs(300_000)), facts(), facts())
    const backend = directory()
    for (const key of ['a', 'b', 'c']) await backend.head(key)
    expect(service.seen).toEqual([
      'GET /?session=',
      'HEAD /a',
      'GET /?session=',
      'HEAD /b',
      'HEAD /c',
    ])
  })

  it('whose session is refused says so, and is asked for another with the next request', async () => {
    service.script(refuse(403, 'AccessDenied'), session(inMs(300_000)), facts())
    const backend = directory()
    expect((await failureOf(backend.head('a'))).code).toBe('FORBIDDEN')
    expect(await backend.head('a')).toMatchObject({ key: 'a' })
  })

  it('has no session where the answer names no key', async () => {
    const empty = xml('<CreateSessionResult><Credentials/></CreateSessionResult>')
    service.script(empty, session(inMs(300_000)), facts())
    expect(await directory().head('a')).toMatchObject({ key: 'a' })
  })
})

describe('a clock that is wrong', () => {
  it("gives way to the service's with the next request", async () => {
    const date = new Date(Date.now() - 3_600_000)
    const headers = { date: date.toUTCString() }
    service.script(refuse(403, 'RequestTimeTooSkewed', { headers }), page(['a']))
    const backend = service.backend()
    expect((await failureOf(keysOf(backend.list('')))).hint).toContain('60 minutes off')
    expect(await keysOf(backend.list(''))).toEqual(['a'])
    const signed = service.requests.map(({ headers: sent }) => String(sent['x-amz-date']))
    const hour = date.toISOString().slice(0, 13).replaceAll('-', '')
    expect(signed[1]?.slice(0, 11)).toBe(hour)
    expect(signed[0]?.slice(0, 11)).not.toBe(hour)
  })
})

describe('an answer', () => {
  it('to a HEAD frees its connection', async () => {
    service.always(
      answer(200, {
        etag: '"e"',
        'content-length': '9',
        'last-modified': 'Sat, 21 Nov 2026 06:00:00 GMT',
      }),
    )
    const backend = service.backend()
    for (let i = 0; i < 70; i += 1) await backend.head('a')
    expect(service.requests).toHaveLength(70)
  })

  it('names the request that support is asked about', async () => {
    service.script(refuse(403, 'AccessDenied', { headers: { 'x-amz-request-id': 'R7' } }))
    const error = await failureOf(service.backend().head('a'))
    expect((error.cause as Error).message).toBe('HTTP 403, request R7')
  })
})
