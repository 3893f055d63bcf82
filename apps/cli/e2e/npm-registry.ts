import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'

const run = promisify(execFile)

interface Release {
  readonly name: string
  readonly version: string
  readonly description: Readonly<Record<string, unknown>>
  readonly tarball: Buffer
}

/** A package registry on loopback: as much of the protocol as `npm install` asks for. */
export class NpmRegistry {
  readonly #releases = new Map<string, Release>()
  readonly #server: Server

  constructor() {
    this.#server = createServer((request, response) => {
      const { status, type, body } = this.#answer(decodeURIComponent(request.url ?? ''))
      response.writeHead(status, { 'content-type': type }).end(body)
    })
  }

  static async start(): Promise<NpmRegistry> {
    const registry = new NpmRegistry()
    await new Promise<void>((resolve) => {
      registry.#server.listen(0, '127.0.0.1', resolve)
    })
    return registry
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  /** Publishes a tarball as it was packed. */
  async publish(path: string): Promise<void> {
    const { stdout } = await run('tar', ['-xOf', path, 'package/package.json'])
    const description = JSON.parse(stdout) as { name: string; version: string }
    const { name, version } = description
    const tarball = await readFile(path)
    this.#releases.set(name, { name, version, description: { ...description }, tarball })
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(url: string): { status: number; type: string; body: string | Buffer } {
    const file = /^\/-\/(.*)\.tgz$/.exec(url)?.[1]
    const release = this.#releases.get(file ?? url.slice(1))
    if (!release) return { status: 404, type: 'application/json', body: '{"error":"not found"}' }
    return file === undefined
      ? { status: 200, type: 'application/json', body: JSON.stringify(this.#packument(release)) }
      : { status: 200, type: 'application/octet-stream', body: release.tarball }
  }

  #packument({ name, version, description, tarball }: Release): object {
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
    const dist = { tarball: `${this.url}-/${encodeURIComponent(name)}.tgz`, integrity }
    return {
      name,
      'dist-tags': { latest: version },
      versions: { [version]: { ...description, dist } },
    }
  }
}
