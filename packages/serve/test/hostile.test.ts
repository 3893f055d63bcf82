/** Hostile requests of clients that may do everything, or that nothing is known of. */
import { digestOf } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer } from '../src/server.ts'
import { openSocket, readAll } from './support/raw-request.ts'
import { basic } from './support/requests.ts'
import { ADMIN, type SecuredServer, SecuredServers } from './support/secured-servers.ts'

const PAGE = '<html><script>alert(1)</script></html>'
const DIGEST = digestOf(Buffer.from(PAGE))

let servers: SecuredServers
let server: SecuredServer
beforeEach(async () => {
  servers = await SecuredServers.open()
  server = await servers.secured()
})
afterEach(() => servers[Symbol.asyncDispose]())

/** Sends bytes as they are, and waits for a server that takes its time. */
async function exchange(text: string): Promise<string> {
  const socket = await openSocket(server.url)
  socket.write(text)
  return readAll(socket)
}

/** Sends a path as it is, as the administrator. */
function send(method: string, path: string, body = 'x'): Promise<string> {
  const head = `Host: localhost\r\nAuthorization: ${basic('admin', 'secret')}\r\nConnection: close`
  return exchange(
    `${method} ${path} HTTP/1.1\r\n${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
}

async function keys(): Promise<readonly string[]> {
  return (await Array.fromAsync(server.backend.list(''))).map(({ key }) => key)
}

describe('a write', () => {
  it.each([
    ['PUT', '/v2/../x/manifests/v1'],
    ['PUT', '/v2/team/%2e%2e/x/manifests/v1'],
    ['PUT', '/v2/team/app/manifests/..'],
    ['PUT', '/v2/team/app/manifests/..%2f..%2f..%2fs3lo.yaml'],
    ['PUT', '/v2/team/app/manifests/v1%00'],
    ['PUT', '/v2/team/app/manifests/v1?tag=../../s3lo.yaml'],
    ['PUT', '/v2/team/app/manifests/v1?tag=a%2fb'],
    ['PUT', '/v2/team/app/manifests/v1?tag=a%0d%0aSet-Cookie:x'],
    ['DELETE', '/v2/team/app/manifests/..%2fv1'],
    ['DELETE', '/v2/team/app/manifests/*'],
    ['DELETE', '/v2/team/app/blobs/sha256:..%2f..%2fs3lo.yaml'],
    ['DELETE', '/v2/team/app/blobs/uploads/..'],
    ['POST', '/v2/team/../blobs/uploads/'],
    ['POST', '/v2/team/app/blobs/uploads/?digest=sha256:../../s3lo.yaml'],
    ['POST', '/v2/team/app/blobs/uploads/?digest=sha256%3A..%2f..%2fs3lo.yaml'],
    ['POST', `/v2/team/app%00/blobs/uploads/?digest=${DIGEST}`],
    ['POST', '/v2/team/app/blobs/uploads/?digest-algorithm=../sha256'],
    ['PATCH', '/v2/team/app/blobs/uploads/..%2f..%2fblobs'],
    ['PATCH', '/v2/team/app/blobs/uploads/../../../s3lo.yaml'],
    ['PUT', `/v2/team/app/blobs/uploads/..%2f..%2fx?digest=${DIGEST}`],
    ['PUT', `/v2/team/app/blobs/uploads/%2e%2e?digest=${DIGEST}`],
    ['PATCH', '/v2/team/app/blobs/uploads/AAAAAAAAAAAAAAAAAAAAAA'],
  ])('to no place of the store changes nothing: %s %s', async (method, path) => {
    const before = await keys()
    const answer = await send(method, path)
    expect(answer).toMatch(/^HTTP\/1\.1 4(?:00|04|05) /)
    expect(answer).not.toMatch(/^Set-Cookie/im)
    expect(await keys()).toEqual(before)
  })
})

describe('the body of a request that is refused', () => {
  const inner = 'GET /v2/public/app/tags/list HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const chunk = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`

  it.each([
    ['of a length', `Content-Length: ${inner.length}\r\n\r\n${inner}`],
    ['in chunks', `Transfer-Encoding: chunked\r\n\r\n${chunk}`],
  ])('is no request: %s', async (_, rest) => {
    for (const path of ['/v2/secret/blobs/uploads/', '/v2/none', '/token/x', '/healthz']) {
      const answers = await exchange(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${rest}GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
      )
      expect(answers.match(/^HTTP\/1\.1 \d+/gm)).toHaveLength(2)
      expect(answers).not.toContain('"tags"')
    }
  })
})

describe('a page that is pushed', () => {
  const manifest = (mediaType: string) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: 'text/html', digest: DIGEST, size: PAGE.length },
      layers: [{ mediaType: 'text/html', digest: DIGEST, size: PAGE.length }],
      annotations: { page: PAGE },
    })
  const put = (path: string, body: string, type: string) =>
    server.get(path, {
      method: 'PUT',
      body,
      headers: { ...ADMIN.headers, 'content-type': type },
    })

  it('is never rendered, nor what says it is one', async () => {
    const pushed = await server.get(`/v2/team/app/blobs/uploads/?digest=${DIGEST}`, {
      ...ADMIN,
      method: 'POST',
      body: PAGE,
    })
    expect(pushed.status).toBe(201)
    const tag = '/v2/team/app/manifests/page'
    expect((await put(tag, PAGE, 'text/html')).status).toBe(400)
    const types = [
      'text/html',
      'application/xhtml+xml',
      'image/svg+xml',
      'application/vnd.oci.image.manifest.v1+json',
    ]
    const tags = types.map((_, at) => `${tag}${at}`)
    for (const [at, type] of types.entries()) {
      expect((await put(tags[at] ?? '', manifest(type), 'text/html')).status).toBe(201)
    }

    const browser = { ...ADMIN.headers, accept: 'text/html', 'sec-fetch-mode': 'navigate' }
    const pushedContent = [...tags, `/v2/team/app/blobs/${DIGEST}`]
    for (const content of pushedContent) {
      const { status, headers } = await server.get(content, { headers: browser })
      expect([status, headers.get('content-disposition')]).toEqual([200, 'attachment'])
    }
    for (const asked of [
      ...pushedContent,
      '/v2/%3Cscript%3E/manifests/v1',
      '/v2/team/app/manifests/%3Cscript%3E',
      '/v2/team/app/tags/list?n=%3Cscript%3E',
      '/v2/team/app/tags/list?last=%3Cscript%3E',
      '/v2/team/app/blobs/%3Cscript%3E',
      '/token?service=%3Cscript%3E',
      '/%3Cscript%3E',
      '/metrics',
      '/healthz',
    ]) {
      const { headers } = await server.get(asked, { headers: browser })
      expect(headers.get('content-type')).toMatch(
        /^(?:application\/(?:json|octet-stream|vnd\.oci\.\S+)|text\/plain)(?:;|$)/,
      )
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    }
  })
})

it('a connection beyond the limit is closed, and others are served', async () => {
  const address = { host: '127.0.0.1', port: 0 }
  const limited = await startServer((_request, response) => response.end('here'), {
    address,
    maxConnections: 1,
  })
  const first = await openSocket(limited.url)
  expect(await readAll(await openSocket(limited.url))).toBe('')
  const answer = readAll(first)
  first.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  expect(await answer).toContain('here')
  await limited.drain(0)
})
