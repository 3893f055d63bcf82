import type { IncomingMessage } from 'node:http'
import type { Answer } from '../answer/answer.ts'
import { Refusal, refusalAnswer } from '../answer/error.ts'
import type { Page } from '../options.ts'
import { clientAddress, clientOrigin } from '../request/client.ts'
import { isLoopbackAddress } from '../request/loopback.ts'
import {
  type AccessOptions,
  type AccessSettings,
  createAccessState,
  reportLogIn,
  type RequestContext,
} from './access-state.ts'
import { formatChallenge, refuseForNow, unauthorized } from './challenge.ts'
import { parseCredentials } from './credentials.ts'
import { createUsers } from './htpasswd.ts'
import { type Identity, nameOf } from './identity.ts'
import type { Grant } from './jwt.ts'
import { createLogInPace } from './log-in-pace.ts'
import type { Access, Authorization, Authorize, Principal } from './principal.ts'
import type { AccessRules } from './rules.ts'
import { formatScope, grantsInclude } from './scope.ts'
import { createTokenService } from './token-service.ts'

/** The access control of one registry: its check of requests, and its token service. */
export interface AccessControl {
  readonly authorize: Authorize
  readonly tokenPage: Page
  /** Puts other settings in place of these. Tokens stay valid while the key stays the same. */
  replace(settings: AccessSettings): void
}

export function createAccessControl(
  initial: AccessSettings,
  options: AccessOptions = {},
): AccessControl {
  const { externalUrl, verifyPassword, now } = options
  const service = externalUrl === undefined ? 's3lo' : new URL(externalUrl).host
  const users = createUsers(initial.users, { ...(verifyPassword && { verify: verifyPassword }) })
  const lasting = { users, pace: createLogInPace(now), service, options }
  let state = createAccessState(initial, lasting)
  const context: RequestContext = { options, service, current: () => state }
  return {
    authorize: (request, access) => authorize(context, request, access),
    tokenPage: createTokenService(context),
    replace(settings) {
      users.replace(settings.users)
      state = createAccessState(settings, lasting)
    },
  }
}

/** What the decision about one request needs. */
interface Question {
  readonly identity: Identity
  readonly grants: readonly Grant[] | undefined
  readonly rules: AccessRules
  /** The client is on this machine. */
  readonly isNear: boolean
}

async function authorize(
  context: RequestContext,
  request: IncomingMessage,
  access: Access | undefined,
): Promise<Authorization> {
  const { options, service, current } = context
  const { rules, authenticator, canLogIn } = current()
  const credentials = parseCredentials(canLogIn ? request.headers.authorization : undefined)
  const address = clientAddress(request, options)
  const found = await authenticator.authenticate(credentials, address)
  reportLogIn(context, { credentials, address, found })
  if (found.kind === 'later') return { kind: 'refused', answer: refuseForNow(found) }
  const challenge = (error?: string): string =>
    formatChallenge({
      origin: clientOrigin(request, options),
      service,
      scope: access && formatScope(access.action, access.repository),
      error,
    })
  if (found.kind === 'wrong') {
    const answer = unauthorized('the credentials are not valid', challenge('invalid_token'))
    return { kind: 'refused', answer }
  }
  const { identity, grants } = found
  const question = { identity, grants, rules, isNear: isLoopbackAddress(address) }
  // At /v2/, a client learns whether its credentials are right: without any it is asked for them.
  const isKnown = !canLogIn || credentials.kind !== 'none'
  if (access === undefined ? isKnown : isAllowed(question, access)) {
    return { kind: 'granted', principal: toPrincipal(question) }
  }
  // Other credentials, or a token of a wider scope, may do it.
  const isWorthAnother =
    identity.kind === 'anonymous'
      ? canLogIn
      : access !== undefined && isAllowedByRules(question, access)
  const error = credentials.kind === 'none' ? undefined : 'insufficient_scope'
  const answer = isWorthAnother ? unauthorized('log in to do this', challenge(error)) : denied()
  return { kind: 'refused', answer, name: nameOf(identity) }
}

function toPrincipal(question: Question): Principal {
  const { identity, grants, rules } = question
  return {
    name: nameOf(identity),
    may: (access) => isAllowed(question, access),
    // A token for some repositories must not make the content of others readable there.
    pullsAll: grants === undefined && rules.mayEverywhere(identity, 'pull'),
  }
}

function isAllowed(question: Question, access: Access): boolean {
  const { grants } = question
  const isGranted = grants === undefined || grantsInclude(grants, access.action, access.repository)
  return isGranted && isAllowedByRules(question, access)
}

function isAllowedByRules(
  { identity, rules, isNear }: Question,
  { action, repository }: Access,
): boolean {
  const isChange = action === 'push' || action === 'delete'
  // Beyond the machine itself, nothing is changed anonymously, however the rules are.
  if (isChange && identity.kind === 'anonymous' && !isNear) return false
  return repository === undefined
    ? rules.mayAnywhere(identity, action)
    : rules.may(identity, repository, action)
}

/** The same for a repository that is not there: the rules are asked before the store. */
function denied(): Answer {
  return refusalAnswer(new Refusal('DENIED', 'the access rules of this registry do not allow it'))
}
