import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ServeSettings } from '../src/serve-plan.ts'
import { HASH } from './support/access.ts'
import { openSocket, rawRequest, readAll } from './support/raw-request.ts'
import { basic } from './support/requests.ts'
import {
  ADMIN,
  ALICE,
  as,
  CONFIG,
  type SecuredServer,
  SecuredServers,
} from './support/secured-servers.ts'

let folder: string
let servers: SecuredServers

beforeEach(async () => {
  servers = await SecuredServers.open()
  ;({ folder } = servers)
})

afterEach(() => servers[Symbol.asyncDispose]())

const start = (settings?: Partial<ServeSettings>, env?: object): Promise<SecuredServer> =>
  servers.start(settings, env)
const secured = (settings?: Partial<ServeSettings>): Promise<SecuredServer> =>
  servers.secured(settings)

describe('a server with users', () => {
  it('lets in who may, and answers alike for what is forbidden and what is not there', async () => {
    const { get } = await secured()
    const status = async (path: string, init?: RequestInit) => (await get(path, init)).status
    expect(await status('/v2/')).toBe(401)
    expect(await status('/v2/', ALICE)).toBe(200)
    expect(await status('/v2/', as(basic('alice', 'wrong')))).toBe(401)
    expect(await status('/v2/public/app/manifests/v1')).toBe(200)
    expect(await status('/v2/team/app/manifests/v1')).toBe(401)
    expect(await status('/v2/team/app/manifests/v1', ALICE)).toBe(200)
    const answers = await Promise.all(
      ['secret', 'nothing'].map(async (name) => {
        const answer = await get(`/v2/${name}/manifests/v1`, ALICE)
        return [answer.status, await answer.text()]
      }),
    )
    expect(answers[0]?.[0]).toBe(403)
    expect(answers[0]).toEqual(answers[1])
  })

  it('has a catalog of what the asking one may see', async () => {
    const { get } = await secured()
    expect((await get('/v2/_catalog')).status).toBe(401)
    expect((await get('/v2/_catalog', ALICE)).status).toBe(403)
    const everything = { repositories: ['public/app', 'secret', 'team/app'] }
    expect(await (await get('/v2/_catalog', ADMIN)).json()).toEqual(everything)
    const answer = await get('/token?scope=registry:catalog:*', ADMIN)
    const { token } = (await answer.json()) as { token: string }
    const listed = await get('/v2/_catalog', as(`Bearer ${token}`))
    expect(await listed.json()).toEqual(everything)
  })

  it('gives tokens, by the challenge that it sends', async () => {
    const { get, url } = await secured()
    const challenge = (await get('/v2/team/app/manifests/v1')).headers.get('www-authenticate')
    const [, realm = '', service = '', scope = ''] =
      /^Bearer realm="(.*?)",service="(.*?)",scope="(.*?)"$/.exec(challenge ?? '') ?? []
    expect(realm).toBe(`${url}/token`)
    const query = new URLSearchParams({ service, scope })
    const answer = await fetch(`${realm}?${query.toString()}`, ALICE)
    const { token } = (await answer.json()) as { token: string }
    expect((await get('/v2/team/app/manifests/v1', as(`Bearer ${token}`))).status).toBe(200)
    expect((await get('/v2/secret/manifests/v1', as(`Bearer ${token}`))).status).toBe(403)
    const form = { grant_type: 'password', username: 'alice', password: 'secret', scope }
    const posted = await fetch(realm, { method: 'POST', body: new URLSearchParams(form) })
    expect(posted.status).toBe(200)
  })

  it('reads users and rules again when it is told to, and keeps them when it cannot', async () => {
    const server = await secured()
    const status = async () => (await server.get('/v2/team/app/manifests/v1', ALICE)).status
    expect(await status()).toBe(200)
    await writeFile(join(folder, 'htpasswd'), `alice:not a hash\n`)
    await server.reload()
    expect(await status()).toBe(200)
    expect(server.logged.at(-1)).toContain('"event":"reload-failure"')
    await writeFile(join(folder, 'htpasswd'), `admin:${HASH}\n`)
    await server.reload()
    expect(await status()).toBe(401)
    expect(server.logged.some((line) => line.includes('"event":"reload"'))).toBe(true)
  })

  it('takes no rules that are for another address than it listens on', async () => {
    const file = join(folder, 'serve.yaml')
    await writeFile(file, `listen: 0.0.0.0:0\n${CONFIG}`)
    const server = await secured({ listen: undefined })
    const secret = `${server.url.replace('0.0.0.0', '127.0.0.1')}/v2/secret/manifests/v1`
    await writeFile(file, 'listen: 127.0.0.1:0\n')
    await server.reload()
    expect(server.logged.at(-1)).toContain('"event":"reload-failure"')
    expect((await fetch(secret)).status).toBe(401)
  })

  it('logs who did what, and no secret', async () => {
    const server = await secured({ accessLog: true })
    await server.get('/v2/team/app/manifests/v1', ALICE)
    await server.get('/v2/secret/manifests/v1', ALICE)
    await server.get('/token?service=s3lo', as(basic('alice', 'wrong-password')))
    const { token } = (await (await server.get('/token', ALICE)).json()) as { token: string }
    await server.get('/v2/', as(`Bearer ${token}`))
    const events = server.logged.map((line) => JSON.parse(line))
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'access', who: 'alice', repository: 'team/app' }),
    )
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'refusal', who: 'alice', repository: 'secret' }),
    )
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'log-in', name: 'alice', outcome: 'wrong' }),
    )
    const text = server.logged.join('')
    for (const secret of [
      'wrong-password',
      token,
      basic('alice', 'secret').slice(6),
      'authorization',
    ]) {
      expect(text).not.toContain(secret)
    }
  })

  it('measures itself', async () => {
    const { get } = await secured()
    await get('/v2/public/app/manifests/v1')
    await get('/token', as(basic('alice', 'wrong')))
    const text = await (await get('/metrics')).text()
    expect(text).toContain(
      's3lo_http_requests_total{endpoint="manifest",method="GET",status="200"} 1',
    )
    expect(text).toContain('s3lo_log_ins_total{outcome="wrong"} 1')
    expect(text).toMatch(/^s3lo_connections [1-9]/m)
  })

  it('takes a signing key from the environment, so that replicas take each other', async () => {
    const key =
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n'
    await writeFile(join(folder, 'serve.yaml'), `${CONFIG}signing_key: { env: KEY }\n`)
    const settings = { config: join(folder, 'serve.yaml') }
    const [one, other] = [await start(settings, { KEY: key }), await start(settings, { KEY: key })]
    const stranger = await start({ config: join(folder, 'serve.yaml') }, { KEY: key })
    const scope = 'scope=repository:team/app:pull'
    const { token } = (await (await one.get(`/token?${scope}`, ALICE)).json()) as { token: string }
    for (const replica of [one, other, stranger]) {
      const answer = await replica.get('/v2/team/app/manifests/v1', as(`Bearer ${token}`))
      expect(answer.status).toBe(200)
    }
    await expect(start(settings, {})).rejects.toMatchObject({ code: 'USAGE' })
  })
})

describe('a configuration is refused', () => {
  it.each<[string, string, Partial<ServeSettings>]>([
    ['with users and no rule', 'users: { htpasswd: htpasswd }', {}],
    [
      'that lets anonymous clients push from other machines',
      "access: [{ repositories: '**', who: anonymous, may: [pull, push] }]",
      { listen: '0.0.0.0:0' },
    ],
    [
      'that lets anonymous clients delete by an outer name',
      "access: [{ repositories: '**', who: anonymous, may: [delete] }]",
      { allowHost: ['registry.example'] },
    ],
    ['that is open, with an outer name', '', { externalUrl: 'https://registry.example' }],
    ['with a limit that is none', '', { maxConnections: '0' }],
    ['with an address of clients that has a path', '', { externalUrl: 'https://a/b' }],
  ])('%s', async (_what, text, settings) => {
    await writeFile(join(folder, 'serve.yaml'), text)
    await expect(secured(settings)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('that is not there, or names files that are not', async () => {
    await expect(start({ config: join(folder, 'none.yaml') })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await writeFile(
      join(folder, 'serve.yaml'),
      "users: { htpasswd: none }\naccess: [{ repositories: '**', who: a, may: [] }]",
    )
    await expect(secured()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('requests of web pages', () => {
  it('are refused by an open server under any name but this machine', async () => {
    const { url } = await start()
    const ask = (head: string) => rawRequest(url, `${head}\r\nConnection: close\r\n\r\n`)
    expect(await ask('GET /v2/ HTTP/1.1\r\nHost: localhost')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await ask('GET /v2/ HTTP/1.1\r\nHost: evil.example')).toMatch(/^HTTP\/1\.1 421 /)
    expect(await ask('GET /v2/_catalog HTTP/1.0')).toMatch(/^HTTP\/1\.1 421 /)
    expect(await ask('GET /healthz HTTP/1.1\r\nHost: 10.0.0.1')).toMatch(/^HTTP\/1\.1 200 /)
    expect(await ask('GET http://localhost/v2/ HTTP/1.1\r\nHost: evil.example')).toMatch(
      /^HTTP\/1\.1 421 /,
    )
  })

  it('are refused where they would change something, without a look at the store', async () => {
    const { url } = await start()
    const answer = await rawRequest(
      url,
      'POST /v2/app/blobs/uploads/?digest=sha256:x HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  })
})

describe('hostile requests are refused', () => {
  const HEAD = 'Host: localhost\r\nConnection: close\r\n'

  it.each([
    [
      'two lengths',
      `POST /token HTTP/1.1\r\n${HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy`,
    ],
    [
      'a length and chunks',
      `POST /token HTTP/1.1\r\n${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'an encoding that is none',
      `POST /token HTTP/1.1\r\n${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a chunk of a negative size',
      `POST /token HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n`,
    ],
    ['a folded header', `GET /v2/ HTTP/1.1\r\n${HEAD}X: a\r\n b: c\r\n\r\n`],
    ['a space before a colon', `GET /v2/ HTTP/1.1\r\n${HEAD}Authorization : x\r\n\r\n`],
    ['a NUL in a header', `GET /v2/ HTTP/1.1\r\n${HEAD}X: a\0b\r\n\r\n`],
    ['a line break in a path', `GET /v2/\nHost: evil HTTP/1.1\r\n${HEAD}\r\n`],
    ['no method', `\u0001\u0002\u0003\r\n\r\n`],
    ['two hosts', `GET /v2/ HTTP/1.1\r\n${HEAD}Host: evil.example\r\n\r\n`],
    ['no host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['a huge header', `GET /v2/ HTTP/1.1\r\n${HEAD}X: ${'x'.repeat(100_000)}\r\n\r\n`],
    ['a huge path', `GET /v2/${'a'.repeat(100_000)} HTTP/1.1\r\n${HEAD}\r\n`],
    ['very many headers', `GET /v2/ HTTP/1.1\r\n${HEAD}${'X: y\r\n'.repeat(20_000)}\r\n`],
  ])('%s', async (_what, text) => {
    const { url } = await start()
    expect(await rawRequest(url, text)).toMatch(/^HTTP\/1\.1 4(?:00|03|31) /)
  })

  it.each([
    '/v2/../../etc/passwd/manifests/v1',
    '/v2/..%2f..%2fetc/manifests/v1',
    '/v2/public/../secret/manifests/v1',
    '/v2/public/%2e%2e/secret/manifests/v1',
    '/v2/public/app/../../secret/manifests/v1',
    '/v2//secret/manifests/v1',
    '/v2/secret%00/manifests/v1',
    '/v2/SECRET/manifests/v1',
    '/v2/public/app/manifests/..%2f..%2f..%2fsecret%2fv1%2fmanifest.json',
    '/v2/public/app/manifests/v1%2f..',
    '/v2/public/app/blobs/sha256:..%2f..%2fmanifests',
    '/v2/public/app/blobs/sha256%3a..',
    '/v2/public/app/blobs/uploads/..%2f..',
    '/v2/public/app/referrers/sha256:x',
    '//v2/secret/manifests/v1',
    '/V2/secret/manifests/v1',
    '/v2/secret/manifests/v1/../../../public/app/manifests/v1',
    '/v2/%73ecret/manifests/v1',
    '/v2/public/app/../../../v2/secret/manifests/v1',
  ])('%s, with nothing of another repository', async (path) => {
    const { url } = await secured()
    const request = `GET ${path} HTTP/1.1\r\n${HEAD}\r\n`
    const answer = await rawRequest(url, request)
    expect(answer).toMatch(/^HTTP\/1\.1 (?:400|401|404) /)
    expect(answer).not.toContain('layers')
  })

  it('with an answer that never repeats them in a header', async () => {
    const { url } = await secured()
    const inject = '/v2/a%0d%0aSet-Cookie:%20x=y/manifests/v1'
    const answer = await rawRequest(url, `GET ${inject} HTTP/1.1\r\n${HEAD}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(answer).not.toMatch(/^Set-Cookie/im)
  })

  it('within bounds: a body without end costs the connection', async () => {
    const { url } = await secured()
    const socket = await openSocket(url)
    const answer = readAll(socket)
    socket.write(
      `POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n`,
    )
    let sent = 0
    const chunk = Buffer.alloc(1024 * 1024)
    while (!socket.destroyed && sent < 200) {
      sent++
      await new Promise((resolve) => socket.write(chunk, resolve))
    }
    expect(await answer).toMatch(/^HTTP\/1\.1 401 /)
    expect(sent).toBeLessThan(100)
  })

  it('within bounds: of a form of any length, a part is read', async () => {
    const { url } = await secured()
    const body = 'a'.repeat(1_000_000)
    const answer = await rawRequest(
      url,
      `POST /token HTTP/1.1\r\n${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  })
})
