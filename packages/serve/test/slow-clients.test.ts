import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { slowLooks, watchSlowClients } from '../src/slow-clients.ts'
import { openSocket } from './support/raw-request.ts'

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** A server that watches its clients, and gives each request to the test. */
async function watched() {
  const clients = watchSlowClients()
  const server = createServer((request, response) => {
    clients.watch(request, response)
    server.emit('exchange', { request, response })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stops.push(
    () => clients.stop(),
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const send = async (text: string) => {
    const socket = await openSocket(url)
    socket.on('error', () => {})
    const exchange = once(server, 'exchange')
    socket.write(text)
    const [{ request, response }] = (await exchange) as [
      { request: IncomingMessage; response: ServerResponse },
    ]
    return { socket, request, response }
  }
  return { clients, send }
}

describe('slow clients', () => {
  it('are those that move hardly anything while the server waits for them', () => {
    const waiting = (moved: number) => ({ moved, isWaiting: true })
    expect(slowLooks(waiting(0), waiting(100), 0)).toBe(1)
    expect(slowLooks(waiting(0), waiting(100), 3)).toBe(4)
    expect(slowLooks(waiting(0), waiting(20_000), 3)).toBe(0)
    expect(slowLooks(waiting(0), { moved: 0, isWaiting: false }, 3)).toBe(0)
    expect(slowLooks({ moved: 0, isWaiting: false }, waiting(0), 3)).toBe(0)
  })

  it('lose their connection when a body never comes', async () => {
    const { clients, send } = await watched()
    const { socket, request } = await send(
      'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx',
    )
    request.on('error', () => {})
    request.resume()
    const closed = once(socket, 'close')
    await once(request, 'data').catch(() => {})
    for (let i = 0; i < 3; i++) clients.look()
    expect(socket.destroyed).toBe(false)
    for (let i = 0; i < 2; i++) clients.look()
    await closed
  })

  it('lose their connection when they do not read what they asked for', async () => {
    const { clients, send } = await watched()
    const { socket, response } = await send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    socket.pause()
    const chunk = Buffer.alloc(1024 * 1024)
    for (let i = 0; i < 64; i++) response.write(chunk)
    await new Promise((resolve) => setImmediate(resolve))
    const closed = once(response, 'close')
    for (let i = 0; i < 20 && !response.destroyed; i++) clients.look()
    await closed
    expect(response.writableFinished).toBe(false)
  })

  it('are not those that wait for the server', async () => {
    const { clients, send } = await watched()
    const { socket, response } = await send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    for (let i = 0; i < 20; i++) clients.look()
    const answered = once(socket, 'data')
    response.end('here')
    expect(String(await answered)).toContain('200 OK')
  })
})
