import type { Credentials } from '../registry-under-test.ts'
import { parseChallenge } from './challenge.ts'
import type { RegistryRequest, Reply } from './message.ts'

type Send = (request: RegistryRequest) => Promise<Reply>

/** Gives each request the credentials that the registry asked for: Basic, or a token of its scopes. */
export class Authorizer {
  readonly #credentials: Credentials | undefined
  readonly #send: Send
  readonly #tokens = new Map<string, string>()
  #isBasic = false

  /** `send` asks the token service. */
  constructor(credentials: Credentials | undefined, send: Send) {
    this.#credentials = credentials
    this.#send = send
  }

  headerFor(request: RegistryRequest): string | undefined {
    if (request.authorization !== undefined) {
      return request.authorization === 'none' ? undefined : request.authorization
    }
    if (this.#isBasic) return this.#basic()
    const token = this.#tokens.get(keyOf(request))
    return token === undefined ? undefined : `Bearer ${token}`
  }

  /** Takes the challenge of a 401; true where another attempt has other credentials. */
  async take(request: RegistryRequest, reply: Reply): Promise<boolean> {
    if (reply.status !== 401 || request.authorization !== undefined) return false
    const challenges = reply.values('www-authenticate').map(parseChallenge)
    const bearer = challenges.find((challenge) => challenge?.scheme === 'bearer')
    if (bearer) {
      this.#tokens.set(keyOf(request), await this.token(bearer.parameters, request.scopes))
      return true
    }
    if (this.#isBasic || !this.#credentials) return false
    this.#isBasic = challenges.some((challenge) => challenge?.scheme === 'basic')
    return this.#isBasic
  }

  /** A token for a challenge's scope and further ones. */
  async token(
    parameters: ReadonlyMap<string, string>,
    further: readonly string[] = [],
  ): Promise<string> {
    const url = new URL(parameters.get('realm') ?? '')
    const service = parameters.get('service')
    if (service !== undefined) url.searchParams.set('service', service)
    for (const scope of [parameters.get('scope'), ...further]) {
      if (scope !== undefined) url.searchParams.append('scope', scope)
    }
    const authorization = this.#credentials ? this.#basic() : 'none'
    const reply = await this.#send({ method: 'GET', path: url.href, authorization })
    if (reply.status !== 200) throw new Error(`expected a token, got status ${reply.status}`)
    const { token, access_token: accessToken } = JSON.parse(reply.body.toString()) as Tokens
    const text = token ?? accessToken
    if (typeof text !== 'string') throw new Error('expected a token, got an answer without one')
    return text
  }

  #basic(): string {
    const { username, password } = this.#credentials ?? { username: '', password: '' }
    return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  }
}

interface Tokens {
  readonly token?: unknown
  readonly access_token?: unknown
}

/** Tokens are kept for each repository, kind of access and further scopes. */
function keyOf({ method, path, scopes = [] }: RegistryRequest): string {
  const { pathname } = new URL(path, 'http://registry')
  const [, repository = ''] =
    /^\/v2\/(.+)\/(?:blobs|manifests|tags|referrers)\//.exec(pathname) ?? []
  const access =
    method === 'GET' || method === 'HEAD' ? 'pull' : method === 'DELETE' ? 'delete' : 'push'
  return [access, repository === '' ? pathname : repository, ...scopes].join(' ')
}
