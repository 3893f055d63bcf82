/**
 * `node integration/rate-limiter.ts PORT BYTES_PER_SECOND`: a link to a port of loopback on which all
 * connections share so many bytes a second in each direction. It prints the port that it listens on.
 */
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const [port = 0, rate = 0] = process.argv.slice(2).map(Number)

/** One direction of the link: the time at which all that was sent so far has passed. */
class Direction {
  #freeAt = 0

  async pass(bytes: number): Promise<void> {
    const now = performance.now()
    this.#freeAt = Math.max(now, this.#freeAt) + (bytes / rate) * 1000
    // Timers are of milliseconds: a shorter wait is made up for by the next.
    if (this.#freeAt - now > 2) await delay(this.#freeAt - now)
  }
}

const up = new Direction()
const down = new Direction()

async function forward(from: Socket, to: Socket, direction: Direction): Promise<void> {
  for await (const piece of from as AsyncIterable<Buffer>) {
    await direction.pass(piece.length)
    if (!to.write(piece))
      await new Promise((resolve) => to.once('drain', resolve).once('close', resolve))
  }
  to.end()
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const service = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const stop = (): void => {
    client.destroy()
    service.destroy()
  }
  client.on('error', stop)
  service.on('error', stop)
  forward(client, service, up).catch(stop)
  forward(service, client, down).catch(stop)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(typeof address === 'object' ? address?.port : '')
})
