import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A request that the token service got. */
export interface TokenCall {
  readonly method: string
  readonly authorization: string | undefined
  readonly scopes: readonly string[]
  readonly service: string | null
  readonly form: URLSearchParams
}

/** What it is answered with: a status and a body, text as it is and the rest as JSON. */
export type Answer = readonly [status: number, body: unknown]

/** A registry on loopback that asks for tokens, and its token service. */
export class TokenService {
  readonly calls: TokenCall[] = []
  /** What the registry was asked with. */
  readonly authorizations: (string | undefined)[] = []
  /** How the token service answers; called once per request. */
  answer: (call: TokenCall) => Answer | Promise<Answer> = () => [200, { token: 'a-token' }]
  /** True for an `Authorization` that the registry takes. */
  accepts: (authorization: string | undefined) => boolean = (value) => value === 'Bearer a-token'
  #challenge: string | undefined
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  static async start(): Promise<TokenService> {
    const service = new TokenService()
    service.#server.listen(0, '127.0.0.1')
    await once(service.#server, 'listening')
    return service
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get realm(): string {
    return `http://${this.host}/token`
  }

  /** What the registry says with a 401. */
  get challenge(): string {
    return this.#challenge ?? `Bearer realm="${this.realm}",service="a registry"`
  }

  set challenge(value: string) {
    this.#challenge = value
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${this.host}`)
    const body = (await buffer(request)).toString('utf8')
    if (url.pathname === '/token') {
      await this.#serveToken(request, url, new URLSearchParams(body), response)
      return
    }
    this.authorizations.push(request.headers.authorization)
    if (this.accepts(request.headers.authorization)) response.writeHead(200).end('{}')
    else response.writeHead(401, { 'www-authenticate': this.challenge }).end()
  }

  async #serveToken(
    request: IncomingMessage,
    { searchParams }: URL,
    form: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const call: TokenCall = {
      method: request.method ?? '',
      authorization: request.headers.authorization,
      scopes: form.get('scope')?.split(' ') ?? searchParams.getAll('scope'),
      service: form.get('service') ?? searchParams.get('service'),
      form,
    }
    this.calls.push(call)
    const [status, answer] = await this.answer(call)
    response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer))
  }
}
