import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'

const run = promisify(execFile)

interface Release {
  /** The package.json inside the tarball. */
  readonly description: { readonly name: string; readonly version: string }
  readonly tarball: Buffer
}

/** A package registry on loopback: as much of the protocol as `npm install` asks for. */
export class NpmRegistry {
  /** By package and version; the one that was published last is the latest. */
  readonly #packages = new Map<string, Map<string, Release>>()
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
    const description = JSON.parse(stdout) as Release['description']
    const { name, version } = description
    const releases = this.#packages.get(name) ?? new Map<string, Release>()
    releases.delete(version)
    releases.set(version, { description, tarball: await readFile(path) })
    this.#packages.set(name, releases)
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(url: string): { status: number; type: string; body: string | Buffer } {
    const [, name = '', version] = /^\/(.*?)(?:\/-\/(.*)\.tgz)?$/.exec(url) ?? []
    const releases = this.#packages.get(name)
    if (releases && version === undefined) {
      return { status: 200, type: 'application/json', body: JSON.stringify(this.#packument(name)) }
    }
    const tarball = releases?.get(version ?? '')?.tarball
    return tarball
      ? { status: 200, type: 'application/octet-stream', body: tarball }
      : { status: 404, type: 'application/json', body: '{"error":"not found"}' }
  }

  #packument(name: string): object {
    const releases = [...(this.#packages.get(name) ?? [])]
    const versions = releases.map(([version, { description, tarball }]) => {
      const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
      const dist = { tarball: `${this.url}${name}/-/${version}.tgz`, integrity }
      return [version, { ...description, dist }] as const
    })
    const latest = releases.at(-1)?.[0]
    return { name, 'dist-tags': { latest }, versions: Object.fromEntries(versions) }
  }
}
