import type { ChildProcess } from 'node:child_process'
import {
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type ServeProcess, servingAt } from './serve-process.ts'

/** What of a push a request belongs to. */
export type PushPhase = 'upload' | 'publication'

/** Starts one more process of the server, at a port of its own. */
export type SpawnServer = () => ChildProcess

/** Processes of `s3lo serve` for one store, behind a balancer that gives each request to the next one. */
export class Replicas implements AsyncDisposable {
  /** `127.0.0.1:PORT` of the balancer. */
  readonly address: string
  /** Requests whose replica died under them. */
  broken = 0
  readonly #spawn: SpawnServer
  readonly #server: Server
  readonly #live: ServeProcess[] = []
  readonly #starting = new Set<Promise<void>>()
  #requests = 0
  #watcher:
    | { readonly phase: PushPhase; readonly seen: (replica: ServeProcess) => void }
    | undefined

  private constructor(spawn: SpawnServer, server: Server) {
    this.#spawn = spawn
    this.#server = server
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (incoming, response) => {
      this.#pass(incoming, response).catch(() => {
        this.broken += 1
        response.destroy()
      })
    })
  }

  static async start(spawn: SpawnServer, count: number): Promise<Replicas> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const replicas = new Replicas(spawn, server)
    await Promise.all(Array.from({ length: count }, () => replicas.#add()))
    return replicas
  }

  /**
   * Kills the replica that gets the next request of a phase, so many milliseconds after it got it, and
   * starts another one in its place. One stays alive at any time.
   */
  async killAt(phase: PushPhase, afterMs: number): Promise<void> {
    while (this.#live.length < 2) await Promise.race(this.#starting)
    const { promise, resolve } = Promise.withResolvers<ServeProcess>()
    this.#watcher = { phase, seen: resolve }
    const replica = await promise
    // Where it dies is the point of the test.
    await delay(afterMs)
    this.#live.splice(this.#live.indexOf(replica), 1)
    replica.child.kill('SIGKILL')
    const starting = this.#add().finally(() => this.#starting.delete(starting))
    this.#starting.add(starting)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#starting)
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    await Promise.all(this.#live.map((replica) => replica[Symbol.asyncDispose]()))
  }

  async #add(): Promise<void> {
    this.#live.push(await servingAt(this.#spawn()))
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const replica = this.#live[this.#requests++ % this.#live.length]
    if (!replica) throw new Error('expected a replica that lives, got none')
    const { method, url = '/', headers } = incoming
    const { hostname, port } = new URL(replica.url)
    const outgoing = request({ host: hostname, port, path: url, method, headers, agent: false })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.on('error', reject)
    })
    const watcher = this.#watcher
    if (watcher && watcher.phase === phaseOf(incoming)) {
      this.#watcher = undefined
      watcher.seen(replica)
    }
    // A server may answer before it has all of the body: the rest is not passed on then.
    incoming.pipe(outgoing)
    incoming.once('close', () => incoming.complete || outgoing.destroy())
    const answer = await answered
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, response)
  }
}

function phaseOf({ method = 'GET', url = '/' }: IncomingMessage): PushPhase | undefined {
  if (method === 'PUT' && url.includes('/manifests/')) return 'publication'
  return ['POST', 'PATCH', 'PUT'].includes(method) && url.includes('/uploads/')
    ? 'upload'
    : undefined
}
