import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ImageStore } from '@s3lo/core'
import { imageFixture, MemoryBackend, putImage } from '@s3lo/core/testing'
import { NO_TOOLS } from '../../src/judgement/push-policies.ts'
import { type Serving, startServing } from '../../src/serve.ts'
import type { ServeSettings } from '../../src/serve-plan.ts'
import { HASH } from './access.ts'
import { basic } from './requests.ts'

/** Anonymous clients pull `public`, alice pulls and pushes `team`, and admin may everything. */
export const CONFIG = `
users: { htpasswd: htpasswd }
access:
  - { repositories: 'public/**', who: anonymous, may: [pull] }
  - { repositories: 'team/*', who: alice, may: [pull, push] }
  - { repositories: '**', who: admin, may: [pull, push, delete, catalog] }
`
/** What a client of these credentials sends. */
export const as = (
  authorization: string,
): { readonly headers: { readonly authorization: string } } => ({ headers: { authorization } })
export const ALICE = as(basic('alice', 'secret'))
export const ADMIN = as(basic('admin', 'secret'))

/** What each server has as `public/app:v1`, `team/app:v1` and `secret:v1`. */
const image = imageFixture({ layers: ['layer'] })

export interface SecuredServer extends Serving {
  readonly backend: MemoryBackend
  readonly logged: string[]
  readonly get: (path: string, init?: RequestInit) => Promise<Response>
}

/** Servers as the command starts them, each with a store of its own in memory. */
export class SecuredServers implements AsyncDisposable {
  /** Of the configuration. */
  readonly folder: string
  readonly #running: Serving[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<SecuredServers> {
    const servers = new SecuredServers(await mkdtemp(join(tmpdir(), 's3lo-serve-')))
    await writeFile(join(servers.folder, 'serve.yaml'), CONFIG)
    await writeFile(join(servers.folder, 'htpasswd'), `alice:${HASH}\nadmin:${HASH}\n`)
    return servers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop } of this.#running) await stop()
    await rm(this.folder, { recursive: true })
  }

  /** Without users, unless the settings name them. */
  async start(settings: Partial<ServeSettings> = {}, env = {}): Promise<SecuredServer> {
    const backend = new MemoryBackend()
    for (const name of ['public/app', 'team/app', 'secret']) {
      await putImage(backend, { name, tag: 'v1' }, image)
    }
    const host = {
      openStore: () => Promise.resolve(new ImageStore(backend)),
      validationTools: () => NO_TOOLS,
    }
    const logged: string[] = []
    const log = { write: (line: string) => logged.push(line) > 0 }
    const serving = await startServing(
      host,
      'memory://x/',
      { listen: '127.0.0.1:0', readOnly: false, drain: '0s', ...settings },
      { env, log },
    )
    this.#running.push(serving)
    return {
      ...serving,
      backend,
      logged,
      get: (path, init) => fetch(`${serving.url}${path}`, init),
    }
  }

  /** With the users and rules of `serve.yaml`. */
  secured(settings: Partial<ServeSettings> = {}): Promise<SecuredServer> {
    return this.start({ config: join(this.folder, 'serve.yaml'), ...settings })
  }
}
