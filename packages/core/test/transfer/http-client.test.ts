import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { type Attempt, HttpClient } from '../../src/transfer/index.ts'

/** What the server has got of each request so far. */
const bodies: string[] = []
const server = createServer((request, response) => {
  const index = bodies.push('') - 1
  request.on('data', (chunk: Buffer) => {
    bodies[index] += chunk.toString()
  })
  request.on('end', () => response.end())
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
const http = new HttpClient({})
afterAll(() => {
  http.close()
  server.closeAllConnections()
  server.close()
})

function attempt(signal = new AbortController().signal): Attempt {
  const nothing = (): void => {}
  return {
    signal,
    progress: nothing,
    received: nothing,
    expectSilence: nothing,
    advanced: nothing,
  }
}

const put = (hold: () => Promise<void>) =>
  ({ method: 'PUT', path: '/', body: [Buffer.from('first '), Buffer.from('rest')], hold }) as const

describe('a body that is held back', () => {
  it('is sent but for its first piece only when it is released', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const sending = http.send(
      url,
      put(() => held),
      attempt(),
    )
    await vi.waitFor(() => expect(bodies).toEqual(['first ']))
    release()
    expect((await sending).statusCode).toBe(200)
    expect(bodies).toEqual(['first rest'])
  })

  it('fails with what it is held back by', async () => {
    const failing = http.send(
      url,
      put(() => Promise.reject(new Error('no'))),
      attempt(),
    )
    await expect(failing).rejects.toThrow('no')
  })
})
