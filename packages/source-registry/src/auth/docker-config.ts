import {
  asObject,
  asString,
  asStringMap,
  type JsonObject,
  optional,
  S3loError,
} from '@s3lo/core/plugin'
import type { AuthFile } from './auth-file.ts'
import type { Credential } from './credential.ts'
import { canonicalHost } from './docker-hub.ts'

/** An entry of `auths` that is about a host or a part of it. */
export interface AuthEntry {
  /** As it is written in the file. */
  readonly key: string
  /** The part of the host: `team/app`; empty for all of it. */
  readonly namespace: string
}

/**
 * What a file says about a registry (the format of docker's `config.json` and of
 * containers-auth.json(5)). Its methods throw `INTEGRITY` naming the file, never a secret.
 */
export class DockerConfig {
  readonly file: AuthFile

  constructor(file: AuthFile) {
    this.file = file
  }

  /** The name of the helper that keeps the host's credentials; `undefined` when the file does. */
  helperFor(host: string): string | undefined {
    const { document, path } = this.file
    const byHost = optional(document, 'credHelpers', path, asStringMap) ?? {}
    const key = Object.keys(byHost).find((name) => hostOf(name) === host)
    // As docker: an empty name is none, and a host's own entry counts even then.
    const own = key === undefined ? undefined : byHost[key]
    return (own ?? optional(document, 'credsStore', path, asString)) || undefined
  }

  /** The entries about a host, those for its parts first, longest first. */
  entriesFor(host: string): readonly AuthEntry[] {
    return Object.keys(this.auths())
      .map((key) => ({ key, ...parseKey(key) }))
      .filter((entry) => entry.host === host)
      .toSorted((a, b) => b.namespace.length - a.namespace.length)
  }

  /** What is written for a host, or for the part of it that `repository` is in. */
  credentialFor(host: string, repository?: string): Credential | undefined {
    for (const { key, namespace } of this.entriesFor(host)) {
      if (!isWithin(namespace, repository)) continue
      const credential = this.#read(key)
      if (credential) return credential
    }
    return undefined
  }

  /** Everything that is written in the file, by key. */
  auths(): JsonObject {
    const { document, path } = this.file
    return optional(document, 'auths', path, asObject) ?? {}
  }

  #read(key: string): Credential | undefined {
    const { path: source } = this.file
    const where = `${source}: auths.${key.slice(0, 200)}`
    const entry = asObject(this.auths()[key], where)
    const registryToken = optional(entry, 'registrytoken', where, asString)
    if (registryToken)
      return { kind: 'registry-token', token: sendable(registryToken, where), source }
    const identityToken = optional(entry, 'identitytoken', where, asString)
    if (identityToken) return { kind: 'identity-token', token: identityToken, source }
    const auth = optional(entry, 'auth', where, asString)
    if (auth) return { kind: 'password', ...decodeAuth(auth, where), source }
    const username = optional(entry, 'username', where, asString)
    const password = optional(entry, 'password', where, asString)
    if (!username || !password) return undefined
    return { kind: 'password', username, password, source }
  }
}

/** The value of `auth` for a name and a password. */
export function encodeAuth(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64')
}

function decodeAuth(
  auth: string,
  where: string,
): { readonly username: string; readonly password: string } {
  // Tools that wrap base64 leave line breaks in it.
  const packed = auth.replaceAll(/\s+/g, '')
  const text = /^[\w+/-]+=*$/.test(packed) ? Buffer.from(packed, 'base64').toString('utf8') : ''
  const colon = text.indexOf(':')
  if (colon < 0) throw new S3loError('INTEGRITY', `${where}.auth is not base64 of user:password`)
  // Old versions of docker padded with zeros; passwords may have colons, names cannot.
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') }
}

function sendable(token: string, where: string): string {
  if (/^[!-~]+$/.test(token)) return token
  throw new S3loError('INTEGRITY', `${where}.registrytoken has characters that cannot be sent`)
}

/** Reads a key of `auths`: `host`, `host/team`, or as a URL of the host: `https://host/v1/`. */
function parseKey(key: string): { readonly host: string; readonly namespace: string } {
  const isUrl = /^https?:\/\//i.test(key)
  const [host = '', ...rest] = key.replace(/^https?:\/\//i, '').split('/')
  const path = rest.filter((part) => part !== '').join('/')
  const isApi = isUrl || /^v[12]$/.test(path)
  return { host: canonicalHost(host), namespace: isApi ? '' : path }
}

function hostOf(key: string): string {
  return parseKey(key).host
}

function isWithin(namespace: string, repository: string | undefined): boolean {
  if (namespace === '') return true
  if (repository === undefined) return false
  return repository === namespace || repository.startsWith(`${namespace}/`)
}
