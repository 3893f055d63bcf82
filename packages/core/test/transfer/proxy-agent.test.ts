import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { knowsProxies, tunnelAgent } from '../../src/transfer/proxy-agent.ts'

let proxy: Server
let url: URL
const asked: (string | undefined)[] = []
let status = 502
beforeAll(async () => {
  proxy = createServer().on('connect', ({ url: target, headers }, socket) => {
    asked.push(`${target} ${headers['proxy-authorization'] ?? ''}`)
    // Plain text in place of TLS: enough to see that the tunnel carries it.
    socket.end(`HTTP/1.1 ${status} x\r\n\r\n${status === 200 ? 'no TLS' : ''}`)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  url = new URL(`http://user:p%40ss@127.0.0.1:${(proxy.address() as AddressInfo).port}`)
})
afterAll(() => void proxy.close())

async function errorOf(target: string, noProxy = ''): Promise<string | undefined> {
  const agent = tunnelAgent(url, { NO_PROXY: noProxy }, {})
  const asking = request(target, { agent })
  asking.end()
  const [error] = (await once(asking, 'error').catch((reason: unknown) => [reason])) as [
    NodeJS.ErrnoException,
  ]
  agent.destroy()
  return error.code
}

describe('a Node that knows no proxies', () => {
  it('gets a tunnel, and is told where the proxy makes none', async () => {
    asked.length = 0
    status = 502
    expect(await errorOf('https://s3.example/')).toBe('ERR_PROXY_TUNNEL')
    expect(asked).toEqual([`s3.example:443 Basic ${Buffer.from('user:p@ss').toString('base64')}`])
  })

  it('speaks TLS through the tunnel', async () => {
    status = 200
    expect(await errorOf('https://s3.example:8443/')).toMatch(/^(ERR_SSL|EPROTO|ECONNRESET)/)
  })

  it.each([
    ['127.0.0.1', true],
    ['*', true],
    ['other.example, 127.0.0.1:9', false],
    ['127.0.0.1:1', true],
    ['127.0.0.0-127.0.0.9', true],
    ['10.0.0.0-10.0.0.9', false],
  ])('goes past the proxy for NO_PROXY=%s: %s', async (noProxy, isPast) => {
    status = 502
    const code = await errorOf('https://127.0.0.1:1/', noProxy)
    expect(code === 'ECONNREFUSED').toBe(isPast)
  })

  it.each([
    ['22.19.0', false],
    ['22.21.0', true],
    ['23.11.1', false],
    ['24.4.1', false],
    ['24.5.0', true],
    ['26.0.0', true],
  ])('is %s: %s', (version, knows) => {
    expect(knowsProxies(version)).toBe(knows)
  })
})
