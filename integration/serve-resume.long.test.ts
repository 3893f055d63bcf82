/** Our own client of registries, whose connection breaks at every MiB of a blob that it pushes to `s3lo serve`. */
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { copy } from '@s3lo/core'
import { FixtureSource, imageFixture, MemoryBackend } from '@s3lo/core/testing'
import { RegistryClient, RegistryRepository } from '@s3lo/source-registry'
import { expect, it } from 'vitest'
import { readWhole } from './read-whole.ts'
import { serveStore } from './served-store.ts'

const MIB = 1024 * 1024
const LAYER_MIB = 20
const CHUNK_BYTES = 8 * MIB
const REFERENCE = { name: 'app', tag: 'v1' }

const image = imageFixture({ layers: [Buffer.alloc(LAYER_MIB * MIB, 'a layer of many MiB ')] })

it('continues at the chunk that was cut, at another replica', async () => {
  for (let cutAt = 1; cutAt < LAYER_MIB; cutAt++) {
    const backend = new MemoryBackend()
    await using served = await serveStore(() => Promise.resolve(backend), { replicas: 3 })
    await using proxy = await CuttingProxy.start(served.address, cutAt * MIB)
    const client = new RegistryClient({
      host: proxy.address,
      plainHttp: true,
      env: {},
      retry: { delay: () => Promise.resolve() },
    })
    const target = new RegistryRepository(client, 'app', { partBytes: CHUNK_BYTES })
    const source = new FixtureSource({ 'app:v1': image })
    await copy({ source, reference: REFERENCE }, { target, reference: REFERENCE })
    expect(await readWhole(backend, REFERENCE, [image])).toBe(image.root.descriptor.digest)
    expect(proxy.cuts).toBe(1)
    // The upload was not begun anew, and only the chunk that was cut was sent again.
    expect(proxy.begun).toBe(image.content.size)
    expect(proxy.bytes).toBeLessThanOrEqual(LAYER_MIB * MIB + CHUNK_BYTES + MIB)
  }
})

/** Passes requests on, and breaks the connection once: when so many bytes of bodies have passed. */
class CuttingProxy implements AsyncDisposable {
  readonly address: string
  /** Bytes of bodies. */
  bytes = 0
  /** Uploads. */
  begun = 0
  cuts = 0
  readonly #upstream: URL
  readonly #server: Server
  readonly #cutAt: number

  private constructor(server: Server, upstream: string, cutAt: number) {
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#server = server
    this.#upstream = new URL(`http://${upstream}`)
    this.#cutAt = cutAt
    server.on('request', (incoming, response) => {
      this.#pass(incoming, response).catch(() => response.destroy())
    })
  }

  static async start(upstream: string, cutAt: number): Promise<CuttingProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new CuttingProxy(server, upstream, cutAt)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '/', headers } = incoming
    if (method === 'POST') this.begun += 1
    const { hostname, port } = this.#upstream
    const outgoing = request({ host: hostname, port, path: url, method, headers, agent: false })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.once('error', reject)
    })
    const cutting = (body: AsyncIterable<Buffer>) => this.#cutOnce(body)
    const [answer] = await Promise.all([answered, pipeline(incoming, cutting, outgoing)])
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, response)
  }

  async *#cutOnce(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const chunk of body) {
      const left = this.#cutAt - this.bytes
      this.bytes += chunk.byteLength
      if (this.cuts === 0 && chunk.byteLength >= left) {
        this.cuts += 1
        yield chunk.subarray(0, left)
        throw new Error('cut')
      }
      yield chunk
    }
  }
}
