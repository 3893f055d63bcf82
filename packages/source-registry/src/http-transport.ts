import type { AddressGuard } from './address-guard.ts'
import { DirectConnections } from './direct-connections.ts'
import type { ConnectionOptions, HttpConnections, HttpRequest, HttpResponse } from './http.ts'
import { isLoopbackHost } from './loopback-host.ts'

/** How connections are made. */
export interface HttpTransportOptions {
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are read, in either case. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Certificates (PEM) that are trusted beside those of the system. */
  readonly tlsCa?: string | undefined
  readonly guard: AddressGuard
}

/**
 * Connections to a registry and to where it sends us. It retries nothing and follows no redirect;
 * loopback is never asked through a proxy.
 */
export class HttpTransport {
  readonly #guard: AddressGuard
  readonly #own: Routes
  readonly #foreign: Routes

  constructor({ env, tlsCa, guard }: HttpTransportOptions) {
    this.#guard = guard
    const ca = tlsCa === undefined ? undefined : [...systemCertificates(), tlsCa]
    const onConnected = (address: string): void => guard.learn(address)
    this.#own = new Routes(env, { ca, lookup: guard.lookupOwn, onConnected })
    this.#foreign = new Routes(env, { ca, lookup: guard.lookupForeign })
  }

  /** Sends one request. Throws `FORBIDDEN` for an address that a registry must not name. */
  async send(url: URL, request: HttpRequest): Promise<HttpResponse> {
    const own = this.#guard.isOwn(url)
    if (!own) this.#guard.assertAllowed(url)
    const connections = await (own ? this.#own : this.#foreign).to(url)
    return connections.send(url, request)
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#foreign.close()])
  }
}

/** Connections of one kind, through a proxy where there is one. Made when first needed. */
class Routes {
  readonly #env: HttpTransportOptions['env']
  readonly #options: ConnectionOptions
  #direct: DirectConnections | undefined
  #proxied: Promise<HttpConnections> | undefined

  constructor(env: HttpTransportOptions['env'], options: ConnectionOptions) {
    this.#env = env
    this.#options = options
  }

  async to(url: URL): Promise<HttpConnections> {
    const proxies = {
      httpProxy: this.#variable('http_proxy'),
      httpsProxy: this.#variable('https_proxy'),
      noProxy: this.#variable('no_proxy'),
    }
    const hasProxy = proxies.httpProxy !== '' || proxies.httpsProxy !== ''
    if (!hasProxy || isLoopbackHost(url.hostname)) {
      return (this.#direct ??= new DirectConnections(this.#options))
    }
    this.#proxied ??= import('./proxied-connections.ts').then(
      ({ ProxiedConnections }) => new ProxiedConnections(proxies, this.#options),
    )
    return this.#proxied
  }

  async close(): Promise<void> {
    await this.#direct?.close()
    await (await this.#proxied)?.close()
  }

  /** As curl reads it: lower case first. */
  #variable(name: string): string {
    return this.#env[name] ?? this.#env[name.toUpperCase()] ?? ''
  }
}

/** TLS is loaded with its first use: registries on this machine have none. */
function systemCertificates(): readonly string[] {
  return process.getBuiltinModule('node:tls').getCACertificates('default')
}
