import { once } from 'node:events'
import { createServer, request as startRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { countBody } from '../../src/request/count-body.ts'

it.each([
  ['with a length', 'content-length', '300000'],
  ['in chunks', 'transfer-encoding', 'chunked'],
])('counts a body %s that another reads', async (_, header, value) => {
  let counted = 0
  const server = createServer((request, response) => {
    countBody(request, (bytes) => (counted += bytes))
    request.pipe(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const outgoing = startRequest({ port, method: 'PUT', headers: { [header]: value } })
  outgoing.write(Buffer.alloc(100_000))
  outgoing.end(Buffer.alloc(200_000))
  const [answer] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>]
  let echoed = 0
  for await (const chunk of answer) echoed += chunk.byteLength
  server.close()
  expect(echoed).toBe(300_000)
  expect(counted).toBe(300_000)
})
