/**
 * A client of a registry that does one thing over and over, as a process of its own: what it costs is not
 * the server's. `node bench-serve-load.ts LOAD`, which is JSON; prints a `LoadResult`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'

/** What is done, by how many clients at once. */
export interface Load {
  /** `http://host:port`. */
  readonly url: string
  /** `POST` pushes a blob in one request, `PATCH` one as a stream whose length is not said. */
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH'
  /** What is read; of a push, `/v2/NAME`. */
  readonly path: string
  readonly clients: number
  /** Requests, or pushes, of all clients together. */
  readonly count: number
  /** Of what is read or pushed. */
  readonly bytes: number
}

export interface LoadResult {
  readonly perSecond: number
  /** MiB. */
  readonly mibPerSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
}

const MIB = 1024 * 1024
const SLICE = 64 * 1024
const HEAD_BYTES = 16

/** One connection that reads answers whole, and keeps nothing of them. */
class Reader {
  readonly #socket: Socket
  readonly #host: string
  #head = ''
  /** Bytes of the body that are still to come; `undefined` before its head is read. */
  #left: number | undefined
  #isHead = false
  #location: string | undefined
  #done: (location: string | undefined) => void = () => {}
  #fail: (error: Error) => void = () => {}

  constructor(url: URL) {
    this.#host = url.host
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    this.#socket.on('data', (chunk) => this.#take(chunk))
    this.#socket.on('error', (error) => this.#fail(error))
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  /** Reads one answer. Gives where it redirects to. */
  ask(method: string, path: string): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      this.#done = resolve
      this.#fail = reject
      this.#isHead = method === 'HEAD'
      // docker-registry gives manifests only to clients that name their type.
      const headers = `Host: ${this.#host}\r\nAccept: application/vnd.oci.image.manifest.v1+json`
      this.#socket.write(`${method} ${path} HTTP/1.1\r\n${headers}\r\n\r\n`)
    })
  }

  close(): void {
    this.#fail = () => {}
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    let bytes = chunk.byteLength
    if (this.#left === undefined) {
      this.#head += chunk.toString('latin1')
      const end = this.#head.indexOf('\r\n\r\n')
      if (end < 0) return
      const [, status = ''] = /^HTTP\/1\.1 (\d+)/.exec(this.#head) ?? []
      if (status !== '200' && status !== '307') {
        return this.#fail(new Error(`expected 200, got ${status}`))
      }
      this.#location = /\r\nlocation: (\S+)/i.exec(this.#head)?.[1]
      const [, length = '0'] = /\r\ncontent-length: (\d+)/i.exec(this.#head) ?? []
      this.#left = this.#isHead ? 0 : Number(length)
      bytes = this.#head.length - end - 4
      this.#head = ''
    }
    this.#left -= bytes
    if (this.#left > 0) return
    this.#left = undefined
    this.#done(this.#location)
  }
}

async function read(load: Load): Promise<readonly number[]> {
  const url = new URL(load.url)
  const times: number[] = []
  let asked = 0
  const work = async (): Promise<void> => {
    const reader = new Reader(url)
    let store: Reader | undefined
    while (asked++ < load.count) {
      const started = performance.now()
      const location = await reader.ask(load.method, load.path)
      if (location !== undefined) {
        const there = new URL(location)
        store ??= new Reader(there)
        await store.ask(load.method, `${there.pathname}${there.search}`)
      }
      times.push(performance.now() - started)
    }
    reader.close()
    store?.close()
  }
  await Promise.all(Array.from({ length: load.clients }, work))
  return times
}

/** Contents that differ in their first bytes. */
interface Content {
  readonly head: Buffer
  readonly rest: Buffer
  readonly digest: string
}

function contentsOf({ bytes, count }: Load): readonly Content[] {
  const rest = randomBytes(bytes - HEAD_BYTES)
  return Array.from({ length: count }, () => {
    const head = randomBytes(HEAD_BYTES)
    const hash = createHash('sha256').update(head).update(rest)
    return { head, rest, digest: `sha256:${hash.digest('hex')}` }
  })
}

async function push(load: Load, contents: readonly Content[]): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.clients })
  const times: number[] = []
  const left = [...contents]
  const work = async (): Promise<void> => {
    for (let content = left.pop(); content; content = left.pop()) {
      const started = performance.now()
      await pushOne(load, agent, content)
      times.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: load.clients }, work))
  agent.destroy()
  return times
}

async function pushOne(load: Load, agent: Agent, content: Content): Promise<void> {
  const begun = await send(load, agent, 'POST', `${load.path}/blobs/uploads/`)
  const isStream = load.method === 'PATCH'
  const sent = isStream ? await send(load, agent, 'PATCH', begun, content) : begun
  const digest = encodeURIComponent(content.digest)
  const end = `${sent}${sent.includes('?') ? '&' : '?'}digest=${digest}`
  await send(load, agent, 'PUT', end, isStream ? undefined : content)
}

/** Gives the location that the answer names. */
async function send(
  load: Load,
  agent: Agent,
  method: string,
  location: string,
  content?: Content,
): Promise<string> {
  const url = new URL(location, load.url)
  const isStream = method === 'PATCH'
  const headers = {
    'content-type': 'application/octet-stream',
    ...(isStream ? {} : { 'content-length': content ? load.bytes : 0 }),
  }
  const sent = request(url, { method, agent, headers })
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    sent.once('error', reject)
  })
  // What fails while bytes are sent is thrown below.
  answered.catch(() => {})
  if (content) {
    sent.write(content.head)
    for (let at = 0; at < content.rest.byteLength; at += SLICE) {
      if (!sent.write(content.rest.subarray(at, at + SLICE))) {
        await Promise.race([new Promise((resolve) => sent.once('drain', resolve)), answered])
      }
    }
  }
  sent.end()
  const answer = await answered
  answer.resume()
  if ((answer.statusCode ?? 500) >= 300) throw new Error(`${method}: ${answer.statusCode}`)
  await new Promise((resolve) => answer.once('end', resolve))
  return answer.headers.location ?? location
}

const load = JSON.parse(process.argv[2] ?? '{}') as Load
const isPush = load.method === 'POST' || load.method === 'PATCH'
const contents = isPush ? contentsOf(load) : []
const started = performance.now()
const times = await (isPush ? push(load, contents) : read(load))
const seconds = (performance.now() - started) / 1000
const sorted = times.toSorted((a, b) => a - b)
const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
const result: LoadResult = {
  perSecond: times.length / seconds,
  mibPerSecond: (times.length * load.bytes) / MIB / seconds,
  p50: at(0.5),
  p99: at(0.99),
}
process.stdout.write(JSON.stringify(result))
