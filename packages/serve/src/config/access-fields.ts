import { isWellFormed, type YamlReader, type YamlValue } from '@s3lo/core'
import type { OidcIssuer } from '../auth/oidc.ts'
import type { Action } from '../auth/principal.ts'
import { type AccessRule, ACTIONS, type Who } from '../auth/rules.ts'
import { entriesOf, type Fields, readFields } from './fields.ts'

/** Whom rules can name. */
interface Known {
  readonly issuers: readonly OidcIssuer[]
  readonly hasUsers: boolean
}

/** `access`: rules in order. A rule that can be about no request is a fault. */
export function readAccess(yaml: YamlReader, fields: Fields, known: Known): readonly AccessRule[] {
  return fields.mappings('access', ['repositories', 'who', 'may']).map((rule) => {
    const repositories = rule.texts('repositories').map(([text, value]) => {
      if (isPattern(text)) return text
      throw yaml.error(value, `is ${JSON.stringify(text)}, not a pattern of repositories`)
    })
    const who = readWho(yaml, rule, known)
    const may = rule.texts('may').map(([text, value]) => toAction(yaml, text, value))
    if (repositories.length === 0) rule.fail(undefined, 'names no repositories')
    if (who.length === 0) rule.fail(undefined, 'says not who')
    // An empty list takes away what a later rule would allow.
    if (!rule.has('may')) rule.fail(undefined, 'says not what they may: may is a list')
    return { repositories, who, may }
  })
}

/** Names are in lower case: another pattern would match nothing, and be taken for a rule. */
function isPattern(text: string): boolean {
  return text
    .split('/')
    .every(
      (part) =>
        part === '**' || (isWellFormed(part) && /^[^A-Z\s]+$/.test(part) && !part.includes('**')),
    )
}

function toAction(yaml: YamlReader, text: string, value: YamlValue): Action {
  const action = ACTIONS.find((known) => known === text)
  if (action) return action
  throw yaml.error(value, `is ${JSON.stringify(text)}, none of ${ACTIONS.join(', ')}`)
}

function readWho(yaml: YamlReader, rule: Fields, known: Known): readonly Who[] {
  const list = yaml.mapping(rule.value).get('who')
  return list ? entriesOf(yaml, list).map((entry) => toWho(yaml, entry, known)) : []
}

function toWho(yaml: YamlReader, entry: YamlValue, known: Known): Who {
  const text = yaml.scalarText(entry)
  if (text === undefined) return readSubject(yaml, entry, known)
  if (text === 'anonymous') return { kind: 'anonymous' }
  if (!text.includes(':')) return toUser(yaml, entry, text, known)
  const [issuer, ...others] = known.issuers
  if (!issuer || others.length > 0) {
    throw yaml.error(
      entry,
      issuer
        ? 'is a subject of one of several issuers: write { issuer: …, subject: … }'
        : 'is the subject of a token, and tokens names no issuer',
    )
  }
  return { kind: 'oidc', issuer: issuer.issuer, subject: text }
}

function toUser(yaml: YamlReader, entry: YamlValue, name: string, { hasUsers }: Known): Who {
  if (!hasUsers) throw yaml.error(entry, 'is a user, and users names no htpasswd file')
  if (isWellFormed(name) && /^[^\s/]+$/.test(name)) return { kind: 'user', name }
  throw yaml.error(entry, `is ${JSON.stringify(name)}, not a user or a glob`)
}

function readSubject(yaml: YamlReader, entry: YamlValue, { issuers }: Known): Who {
  const fields = readFields(yaml, entry, ['issuer', 'subject'])
  const issuer = fields.required('issuer')
  const subject = fields.required('subject')
  if (!issuers.some((known) => known.issuer === issuer)) {
    fields.fail('issuer', 'is not one of tokens')
  }
  return { kind: 'oidc', issuer, subject }
}
