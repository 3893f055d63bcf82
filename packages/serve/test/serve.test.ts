import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Host, ImageStore } from '@s3lo/core'
import { imageFixture, MemoryBackend, putImage, runCommand } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import command from '../src/commands/serve.ts'
import { isLoopback, parseListenAddress } from '../src/listen-address.ts'
import { redirectTo } from '../src/answer/redirect.ts'
import { parseNetworks } from '../src/request/client.ts'
import { plainAddress } from '../src/request/loopback.ts'
import { startServing } from '../src/serve.ts'
import { startServer } from '../src/server.ts'
import type { ServeSettings } from '../src/serve-plan.ts'
import { openSocket, readAll } from './support/raw-request.ts'

const image = imageFixture({ layers: ['layer'] })

/** Opens a store in memory for the command, and remembers whether it was closed. */
function memoryHost(backend = new MemoryBackend()) {
  const closed: string[] = []
  return {
    closed,
    backend,
    openStore: async () => {
      const store = new ImageStore(backend)
      store.close = async () => void closed.push(store.name)
      return store
    },
  }
}

function start(
  settings: Partial<ServeSettings> = {},
  host: Pick<Host, 'openStore'> = memoryHost(),
) {
  return startServing(
    host,
    'memory://x/',
    { listen: '127.0.0.1:0', readOnly: false, ...settings },
    {},
  )
}

describe('the addresses to listen on', () => {
  it.each([
    ['127.0.0.1:5732', { host: '127.0.0.1', port: 5732 }],
    ['[::1]:0', { host: '::1', port: 0 }],
    [':80', { host: '', port: 80 }],
    ['localhost:1', { host: 'localhost', port: 1 }],
  ])('%s', (text, address) => {
    expect(parseListenAddress(text)).toEqual(address)
  })

  it.each(['', '5732', 'a', '::1:80', 'a:70000', 'a:-1', '[a:1'])('refuse %s', (text) => {
    expect(() => parseListenAddress(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  it('are of this machine alone only where their host says so', () => {
    expect(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].every(isLoopback)).toBe(true)
    expect(['', '0.0.0.0', '::', 'example.com', '127.0.0.1.example.com'].some(isLoopback)).toBe(
      false,
    )
  })
})

describe('a connection without a byte', () => {
  const LISTEN = { address: { host: '127.0.0.1', port: 0 } }

  /** A running server, and one request to it that is not answered yet. */
  async function pending(text: string) {
    const { promise, resolve } = Promise.withResolvers<[IncomingMessage, ServerResponse]>()
    const server = await startServer((...exchange) => resolve(exchange), LISTEN)
    const socket = await openSocket(server.url)
    socket.on('error', () => {})
    socket.write(text)
    const [request, response] = await promise
    request.resume()
    // What Node does when the time is over.
    const passTime = () => request.socket.emit('timeout')
    return { request, response, passTime, stop: () => server.drain(0) }
  }

  it('stays while the server works on the answer, and is closed while it is sent', async () => {
    const { request, response, passTime, stop } = await pending(
      'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx',
    )
    await once(request, 'end')
    passTime()
    expect(request.socket.destroyed).toBe(false)
    response.writeHead(200).write('a')
    passTime()
    expect(request.socket.destroyed).toBe(true)
    await stop()
  })

  it('is closed while a body is missing', async () => {
    const { request, passTime, stop } = await pending(
      'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx',
    )
    request.on('error', () => {})
    passTime()
    expect(request.socket.destroyed).toBe(true)
    await stop()
  })
})

describe('s3lo serve', () => {
  it('says where the store is, serves it until it is stopped, and closes it', async () => {
    const host = memoryHost()
    await putImage(host.backend, { name: 'app', tag: 'v1' }, image)
    const { url, lines, stop } = await start({}, host)
    expect(lines[0]).toBe(`Serving memory://memory/ at ${url}`)
    expect((await fetch(`${url}/v2/app/manifests/v1`)).status).toBe(200)
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n')
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    await stop()
    expect(host.closed).toEqual(['memory://memory'])
    await expect(fetch(`${url}/v2/`)).rejects.toThrow()
  })

  it.each([
    [{ listen: '0.0.0.0:0' }],
    [{ listen: ':0' }],
    [{ listen: '0.0.0.0:0', allowAnonymous: 'push' }],
    [{ allowAnonymous: 'push' }],
    [{ tlsCert: 'cert.pem' }],
    [{ redirect: 'sometimes' }],
    [{ redirect: 'always' }],
    [{ redirect: 'never', redirectEndpoint: 'https://store.example' }],
    [{ redirectEndpoint: 'store.example' }],
    [{ redirectEndpoint: 'https://store.example' }],
    [{ noRedirect: ['10.0.0.0/33'] }],
    [{ maxBlob: '0' }],
    [{ maxBlob: '5GB' }],
    [{ presignTtl: '0s' }],
    [{ presignTtl: '169h' }],
    [{ drain: '-1s' }],
    [{ listen: 'nowhere' }],
  ])('refuses %j', async (settings) => {
    await expect(start(settings)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('refuses certificates that are not there', async () => {
    const host = memoryHost()
    const settings = { tlsCert: '/nowhere/cert.pem', tlsKey: '/nowhere/key.pem' }
    await expect(start(settings, host)).rejects.toMatchObject({ code: 'IO' })
    expect(host.closed).toHaveLength(1)
  })

  it('refuses to change a store that it serves read-only', async () => {
    const { url, stop } = await start({ readOnly: true })
    expect((await fetch(`${url}/v2/app/blobs/uploads/`, { method: 'POST' })).status).toBe(405)
    await stop()
  })

  it('lets a request end that runs when it is stopped, and closes the connection', async () => {
    const { url, stop } = await start()
    const socket = await openSocket(url)
    socket.write('GET /v2/ HTTP/1.1\r\nHost: localhost\r\n')
    await new Promise((resolve) => setImmediate(resolve))
    const stopped = stop()
    socket.write('\r\n')
    const answer = await readAll(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    await stopped
  })

  it('runs as a command until its signal is aborted', async () => {
    const host = memoryHost()
    const stopping = new AbortController()
    const lines: string[] = []
    const output = runCommand(
      command,
      ['memory://x/', '--listen', '127.0.0.1:0', '--drain', '0s'],
      {
        host: host as never,
        options: { signal: stopping.signal },
        status: (line) => {
          lines.push(line)
          if (line.startsWith('Press')) stopping.abort()
        },
      },
    )
    expect((await output).result).toMatchObject({ store: 'memory://memory/' })
    expect(lines).toHaveLength(3)
  })
})

describe('redirects', () => {
  const object = { key: 'k', address: '192.0.2.1', headers: {} }
  const backend = (url: string) =>
    Object.assign(new MemoryBackend(), { presignGet: async () => new URL(url) })

  it.each([
    ['https://b.s3.eu-west-1.amazonaws.com/k?sig', 'auto', true],
    ['https://storage.googleapis.com/b/k', 'auto', true],
    ['https://a.blob.core.windows.net/c/k', 'auto', true],
    ['http://b.s3.amazonaws.com/k', 'auto', false],
    ['https://minio.internal/b/k', 'auto', false],
    ['https://amazonaws.com.evil.example/k', 'auto', false],
    ['https://minio.internal/b/k', 'always', true],
    ['https://b.s3.amazonaws.com/k', 'never', false],
  ] as const)('to %s, %s: %s', async (url, mode, isSent) => {
    const answer = await redirectTo(backend(url), object, { mode, expiresInSeconds: 60 })
    expect(answer?.status).toBe(isSent ? 307 : undefined)
    if (isSent) expect(answer?.headers).toMatchObject({ location: url })
  })

  it('are not made by a store that cannot sign', async () => {
    const options = { mode: 'auto', expiresInSeconds: 60 } as const
    expect(await redirectTo(new MemoryBackend(), object, options)).toBeUndefined()
  })

  it('go to the endpoint that clients reach, and not from networks that do not', async () => {
    const options = {
      mode: 'auto',
      expiresInSeconds: 60,
      signer: backend('https://store.example/b/k?sig'),
      except: parseNetworks(['10.0.0.0/8', 'fd00::/8']),
    } as const
    const inside = backend('http://minio.internal/b/k?sig')
    for (const address of ['10.1.2.3', 'fd00::7', '::ffff:10.1.2.3']) {
      const near = { ...object, address: plainAddress(address) }
      expect(await redirectTo(inside, near, options)).toBeUndefined()
    }
    const answer = await redirectTo(inside, object, options)
    expect(answer?.headers).toMatchObject({ location: 'https://store.example/b/k?sig' })
  })

  it.each([
    ['https://store.example', 'https://store.example/b/k?sig', true],
    ['https://store.example', 'https://b.store.example/k?sig', true],
    ['https://store.example', 'http://store.example/b/k?sig', false],
    ['https://store.example', 'https://minio.internal/b/k?sig', false],
    ['https://store.example', 'https://evilstore.example/b/k?sig', false],
    ['https://store.example', undefined, false],
  ])('to %s, where %s is signed: %s', async (endpoint, url, isTaken) => {
    const host = memoryHost()
    const signing = memoryHost()
    if (url !== undefined) Object.assign(signing.backend, backend(url))
    const opened: unknown[] = []
    const both = {
      ...host,
      openStore: (_reference: string, options?: { readonly endpoint?: string | undefined }) => {
        opened.push(options?.endpoint)
        return options?.endpoint === undefined ? host.openStore() : signing.openStore()
      },
    }
    const started = start({ redirectEndpoint: endpoint }, both)
    if (isTaken) await (await started).stop()
    else await expect(started).rejects.toMatchObject({ code: 'USAGE' })
    expect(opened).toEqual([undefined, endpoint])
    expect([...host.closed, ...signing.closed]).toHaveLength(2)
  })
})
