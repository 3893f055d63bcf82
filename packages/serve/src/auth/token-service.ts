import type { IncomingMessage } from 'node:http'
import { type Answer, jsonAnswer } from '../answer/answer.ts'
import { Refusal, refusalAnswer } from '../answer/error.ts'
import type { Page } from '../options.ts'
import { readBody } from '../request/body.ts'
import { clientAddress } from '../request/client.ts'
import { reportLogIn, type RequestContext } from './access-state.ts'
import { refuseForNow, unauthorized } from './challenge.ts'
import { type Credentials, parseCredentials } from './credentials.ts'
import type { Identity } from './identity.ts'
import { type Grant, LIFETIME } from './jwt.ts'
import type { AccessRules } from './rules.ts'
import { parseScopes } from './scope.ts'

/** The largest form that is read (bytes). */
const MAX_FORM_BYTES = 128 * 1024

/** What a client asks the token service for. */
interface TokenRequest {
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly credentials: Credentials
  /** A refresh token is wanted as well. */
  readonly isOffline: boolean
}

/**
 * Issues tokens (Docker's "Token Authentication Specification" and "OAuth2 Token Authentication"): by
 * GET with Basic, Bearer or no credentials, by POST with a form of grant type `password` or
 * `refresh_token`. Scopes are cut to what the rules allow. Wrong credentials are 401, with any scope.
 */
export function createTokenService(context: RequestContext): Page {
  return async (request) => {
    const address = clientAddress(request, context.options)
    const asked = await readRequest(request)
    if ('status' in asked) return asked
    if (asked.service !== undefined && asked.service !== context.service) {
      return invalid('this is the token service of another registry')
    }
    const wanted = parseScopes(asked.scopes)
    if (!wanted) return invalid('there are too many scopes')
    const { credentials } = asked
    const found = await context.current().authenticator.authenticate(credentials, address)
    reportLogIn(context, { credentials, address, found })
    if (found.kind === 'later') return refuseForNow(found)
    // A token of this service is no credential for another one: its scope could grow.
    if (found.kind === 'wrong' || found.grants) {
      return unauthorized('wrong user name, password or token', `Basic realm="${context.service}"`)
    }
    return issue(context, { ...asked, identity: found.identity, wanted })
  }
}

async function issue(
  context: RequestContext,
  {
    identity,
    wanted,
    isOffline,
  }: {
    readonly identity: Identity
    readonly wanted: readonly Grant[]
    readonly isOffline: boolean
  },
): Promise<Answer> {
  const { tokens, rules, users } = context.current()
  const token = await tokens.issueAccess({ identity, grants: cut(wanted, identity, rules) })
  const fingerprint = identity.kind === 'user' ? users.fingerprint(identity.name) : undefined
  const refresh =
    isOffline && identity.kind === 'user' && fingerprint !== undefined
      ? { refresh_token: await tokens.issueRefresh(identity.name, fingerprint) }
      : {}
  const issued = new Date((context.options.now ?? Date.now)()).toISOString()
  return jsonAnswer(
    {
      token,
      access_token: token,
      token_type: 'Bearer',
      expires_in: LIFETIME.access,
      issued_at: issued,
      ...refresh,
    },
    { 'cache-control': 'no-store' },
  )
}

/** Of what is asked for, what the rules allow. */
function cut(wanted: readonly Grant[], identity: Identity, rules: AccessRules): readonly Grant[] {
  return wanted.flatMap(({ type, name, actions }) => {
    const allowed = actions.filter((action) =>
      type === 'registry' ? rules.mayAnywhere(identity, action) : rules.may(identity, name, action),
    )
    return allowed.length > 0 ? [{ type, name, actions: allowed }] : []
  })
}

async function readRequest(request: IncomingMessage): Promise<TokenRequest | Answer> {
  const { method, url = '', headers } = request
  if (method === 'GET' || method === 'HEAD') {
    const query = new URLSearchParams(url.split('?').slice(1).join('?'))
    return {
      service: query.get('service') ?? undefined,
      scopes: query.getAll('scope'),
      credentials: parseCredentials(headers.authorization),
      isOffline: query.get('offline_token') === 'true',
    }
  }
  if (method !== 'POST') {
    return refusalAnswer(
      new Refusal('UNSUPPORTED', 'tokens are asked for by GET or POST', {
        headers: { allow: 'GET, HEAD, POST' },
      }),
    )
  }
  const form = await readForm(request)
  return form ? toRequest(form) : invalid(`expected a form of at most ${MAX_FORM_BYTES} bytes`)
}

function toRequest(form: URLSearchParams): TokenRequest | Answer {
  const credentials = formCredentials(form)
  if (!credentials) {
    return invalid('expected grant_type password with username and password, or refresh_token')
  }
  return {
    service: form.get('service') ?? undefined,
    scopes: form.getAll('scope'),
    credentials,
    isOffline: credentials.kind === 'refresh' || form.get('access_type') === 'offline',
  }
}

function formCredentials(form: URLSearchParams): Credentials | undefined {
  const grantType = form.get('grant_type')
  if (grantType === 'refresh_token') {
    const token = form.get('refresh_token')
    return token ? { kind: 'refresh', token } : undefined
  }
  const name = form.get('username')
  const password = form.get('password')
  return grantType === 'password' && name && password
    ? { kind: 'basic', name, password }
    : undefined
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const content = await readBody(request, MAX_FORM_BYTES)
  return content && new URLSearchParams(new TextDecoder().decode(content))
}

function invalid(message: string): Answer {
  return refusalAnswer(new Refusal('UNSUPPORTED', message, { status: 400 }))
}
