import { YamlReader } from '@s3lo/core'
import type { BlockList } from 'node:net'
import type { OidcIssuer } from '../auth/oidc.ts'
import { parseByteSize } from '../byte-size.ts'
import type { AccessRule } from '../auth/rules.ts'
import { parseNetworks, parseOrigin } from '../request/client.ts'
import { readAccess } from './access-fields.ts'
import { type Fields, readFields } from './fields.ts'
import { readIssuers } from './issuer-fields.ts'

/** The largest `serve.yaml` that is read (bytes). */
export const MAX_SERVE_CONFIG_BYTES = 256 * 1024

const KEYS = [
  'listen',
  'external_url',
  'allow_hosts',
  'trusted_proxies',
  'tls',
  'users',
  'tokens',
  'signing_key',
  'access',
  'limits',
  'access_log',
  'read_only',
]

/** Where a secret is: a file, or a variable of the environment. */
type SecretPlace =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string }

/** What `serve.yaml` says. Absent means absent: flags and defaults fill it in. */
export interface ServeConfig {
  readonly listen?: string
  readonly externalUrl?: string
  readonly allowHosts: readonly string[]
  readonly trustedProxies?: BlockList
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly htpasswd?: string
  readonly issuers: readonly OidcIssuer[]
  readonly signingKey?: SecretPlace
  readonly rules?: readonly AccessRule[]
  readonly limits: LimitSettings
  readonly accessLog?: boolean
  readonly readOnly?: boolean
}

interface LimitSettings {
  /** Connections at once. */
  readonly connections?: number
  /** Bytes of a blob. */
  readonly blob?: number
}

/** A server without a file. */
export const NO_CONFIG: ServeConfig = { allowHosts: [], issuers: [], limits: {} }

/**
 * Reads a `serve.yaml`. Throws `INTEGRITY` naming the line of what is malformed, unknown, or means
 * nothing, so that no rule is silently another one.
 */
export async function parseServeConfig(content: Uint8Array, name: string): Promise<ServeConfig> {
  const yaml = await YamlReader.open({ name, content, limit: MAX_SERVE_CONFIG_BYTES })
  const fields = readFields(yaml, yaml.root, KEYS)
  const issuers = readIssuers(fields)
  const users = fields.mapping('users', ['htpasswd'])
  const tls = fields.mapping('tls', ['cert', 'key'])
  const limits = fields.mapping('limits', ['connections', 'blob'])
  return {
    allowHosts: fields.texts('allow_hosts').map(([text]) => text),
    issuers,
    limits: defined({
      connections: limits?.number('connections'),
      blob: limits && readMaxBlob(limits),
    }),
    ...defined({
      listen: fields.text('listen'),
      externalUrl: readExternalUrl(fields),
      trustedProxies: readProxies(fields),
      tls: tls && { cert: tls.required('cert'), key: tls.required('key') },
      htpasswd: users?.required('htpasswd'),
      signingKey: readSigningKey(fields),
      rules: fields.has('access')
        ? readAccess(yaml, fields, { issuers, hasUsers: users !== undefined })
        : undefined,
      accessLog: fields.flag('access_log'),
      readOnly: fields.flag('read_only'),
    }),
  }
}

function readExternalUrl(fields: Fields): string | undefined {
  const text = fields.text('external_url')
  if (text === undefined) return undefined
  return parseOrigin(text) ?? fields.fail('external_url', 'is not like https://registry.example')
}

function readMaxBlob(limits: Fields): number | undefined {
  const text = limits.text('blob')
  if (text === undefined) return undefined
  return parseByteSize(text) ?? limits.fail('blob', 'is not a size like 50GiB')
}

function readProxies(fields: Fields): BlockList | undefined {
  const texts = fields.texts('trusted_proxies').map(([text]) => text)
  if (texts.length === 0) return undefined
  return parseNetworks(texts) ?? fields.fail('trusted_proxies', 'has what is no address or network')
}

function readSigningKey(fields: Fields): SecretPlace | undefined {
  const key = fields.mapping('signing_key', ['file', 'env'])
  if (!key) return undefined
  const path = key.text('file')
  const name = key.text('env')
  if ((path === undefined) === (name === undefined)) {
    return key.fail(undefined, 'names neither a file nor a variable (env), or both')
  }
  return path === undefined ? { from: 'env', name: name ?? '' } : { from: 'file', path }
}

/** The members that have a value: absent means absent. */
function defined<T extends object>(
  members: T,
): { readonly [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
