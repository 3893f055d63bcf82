import { once } from 'node:events'
import { Agent, createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { withReadBuffers } from '@s3lo/core/transfer'
import { afterAll, beforeAll, expect, it } from 'vitest'

const MIB = 1024 * 1024

/** Bytes of which no stretch is like another. */
function contentOf(seed: number): Buffer {
  return Buffer.from(Uint32Array.from({ length: MIB }, (_, i) => i * 2654435761 + seed).buffer)
}

const server = createServer((request, response) => {
  response.end(contentOf(Number(request.url?.slice(1))))
})
let port: number
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

async function open(agent: Agent, seed: number): Promise<IncomingMessage> {
  const [answer] = (await once(get({ agent, port, path: `/${seed}` }), 'response')) as [
    IncomingMessage,
  ]
  return answer
}

it('keeps the pieces of bodies apart, however late they are looked at', async () => {
  const agent = withReadBuffers(new Agent({ keepAlive: true, maxSockets: 2 }))
  const seeds = [1, 2, 3, 4, 5]
  const bodies = await Promise.all(
    seeds.map(async (seed) => {
      const pieces: Buffer[] = []
      for await (const piece of await open(agent, seed)) pieces.push(piece as Buffer)
      return Buffer.concat(pieces)
    }),
  )
  agent.destroy()
  for (const [i, body] of bodies.entries()) {
    expect(body.equals(contentOf(seeds[i] ?? 0)), `body ${i}`).toBe(true)
  }
})

it('reads no further while nothing is taken', async () => {
  const agent = withReadBuffers(new Agent())
  const answer = await open(agent, 1)
  answer.read()
  await once(answer, 'readable')
  // One more round of the loop: what the socket had at hand has come.
  await new Promise(setImmediate)
  expect(answer.readableLength).toBeLessThan(MIB)
  agent.destroy()
})
