import {
  type CallOptions,
  isS3loError,
  type JsonObject,
  type LoginResult,
  type LogoutResult,
  S3loError,
} from '@s3lo/core/plugin'
import { readCertificates } from '../certificates.ts'
import { RegistryClient, type RegistryClientOptions } from '../registry-client.ts'
import { isPlainHttpHost, parseRegistryName } from '../registry-name.ts'
import { type AuthFile, authFilePaths, readAuthFile, writeAuthFile } from './auth-file.ts'
import { Authenticator } from './authenticator.ts'
import { CredentialHelper } from './credential-helper.ts'
import { Credentials } from './credentials.ts'
import { DockerConfig, encodeAuth } from './docker-config.ts'
import { canonicalHost, credentialKey, DOCKER_HUB } from './docker-hub.ts'

/** A name and a password, or an access token in its place. */
export interface LoginCredential {
  readonly username: string
  readonly password: string
}

/** Where logins are kept. */
export interface LogoutOptions extends CallOptions {
  /** Says where the files are and which helpers can be run. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** How the registry is asked whether it takes the credential. */
export interface LoginOptions extends LogoutOptions {
  readonly plainHttp?: boolean | undefined
  /** A file of certificates (PEM) that are trusted beside those of the system. */
  readonly tlsCa?: string | undefined
  readonly retry?: RegistryClientOptions['retry']
}

/**
 * Keeps a credential for a registry, once the registry has accepted it: with the credential helper
 * of the user's configuration, else in the file. Throws `UNAUTHORIZED` when it is refused; nothing
 * is kept then.
 */
export async function login(
  registry: string,
  credential: LoginCredential,
  options: LoginOptions,
): Promise<LoginResult> {
  const { host, apiHost } = parseRegistryHost(registry)
  assertUsable(credential)
  const isChecked = await check(host, apiHost, credential, options)
  const { username } = credential
  return { host, username, ...(await keep(host, credential, options)), isChecked }
}

/** Forgets the credentials of a registry, where {@link login} would keep them. */
export async function logout(registry: string, options: LogoutOptions): Promise<LogoutResult> {
  const { host } = parseRegistryHost(registry)
  const [path = '', ...others] = authFilePaths(options.env)
  const file = await readAuthFile(path)
  const removedFrom = file ? await forget(host, file, options) : []
  const remainingIn: string[] = []
  for (const other of others) {
    const found = await readAuthFile(other)
    if (found && new DockerConfig(found).entriesFor(host).length > 0) remainingIn.push(other)
  }
  return { host, removedFrom, remainingIn }
}

/**
 * Reads a registry as people name it: `ghcr.io`, `localhost:5000`, `https://docker.io`. Throws
 * `INVALID_REFERENCE`.
 */
export function parseRegistryHost(text: string): {
  readonly host: string
  readonly apiHost: string
} {
  const bare = text.replace(/^https?:\/\//i, '').replace(/\/(?:v[12]\/?)?$/, '')
  const isHub = canonicalHost(bare) === DOCKER_HUB
  if (/^[^/@\s]+$/.test(bare)) {
    const { host, apiHost, reference } = parseRegistryName(`${bare}/image`)
    // What does not look like a host is read as a user of Docker Hub.
    if (isHub || (host !== DOCKER_HUB && reference.name === 'image')) return { host, apiHost }
  }
  throw new S3loError(
    'INVALID_REFERENCE',
    `${JSON.stringify(text.slice(0, 160))} is no registry host`,
    { hint: 'for example ghcr.io, docker.io or localhost:5000' },
  )
}

/** Throws `USAGE` for what cannot be sent as a name and a password (RFC 7617). */
function assertUsable({ username, password }: LoginCredential): void {
  if (username === '' || password === '') {
    throw new S3loError('USAGE', 'a user name and a password are needed')
  }
  if (/[:\p{Cc}]/u.test(username) || /\p{Cc}/u.test(password)) {
    throw new S3loError('USAGE', 'a user name has no colon, and it and a password have one line')
  }
}

/** Asks the registry; false when it did not want to know. */
async function check(
  host: string,
  apiHost: string,
  explicit: LoginCredential,
  { env, plainHttp: isAsked, tlsCa, retry, signal }: LoginOptions,
): Promise<boolean> {
  const plainHttp = isAsked === true || (tlsCa === undefined && isPlainHttpHost(apiHost))
  let authenticator: Authenticator | undefined
  const client = new RegistryClient({
    host,
    apiHost,
    plainHttp,
    env,
    tlsCa: await readCertificates(tlsCa),
    retry,
    authorizer: (fetch) => {
      const credentials = new Credentials({ env, explicit })
      authenticator = new Authenticator({ host, plainHttp, env, fetch, credentials })
      return authenticator
    },
  })
  try {
    const what = `the login at ${host}`
    await client.ask({ method: 'GET', to: '/v2/', what, expect: [200], scopes: [], signal })
    return authenticator?.isAsked === true
  } catch (error) {
    throw isS3loError(error, 'UNAUTHORIZED') ? refused(host, error) : error
  } finally {
    await client.close()
  }
}

function refused(host: string, cause: S3loError): S3loError {
  return new S3loError(
    'UNAUTHORIZED',
    `the registry ${host} does not accept this user name and password`,
    { hint: 'many registries take an access token in place of the password', cause },
  )
}

async function keep(
  host: string,
  credential: LoginCredential,
  { env, signal }: LoginOptions,
): Promise<Pick<LoginResult, 'keptIn' | 'isPlain'>> {
  const [path = ''] = authFilePaths(env)
  const file = (await readAuthFile(path)) ?? { path, document: {} }
  const helper = helperOf(host, file, env)
  if (helper) {
    await helper.store(credentialKey(host), credential, { signal })
    await replaceEntry(host, file, undefined)
    return { keptIn: helper.program, isPlain: false }
  }
  const { username, password } = credential
  await replaceEntry(host, file, { auth: encodeAuth(username, password) })
  return { keptIn: path, isPlain: true }
}

async function forget(
  host: string,
  file: AuthFile,
  { env, signal }: LogoutOptions,
): Promise<readonly string[]> {
  const removedFrom: string[] = []
  const helper = helperOf(host, file, env)
  const key = credentialKey(host)
  // Helpers do not say whether there was anything to erase.
  if (helper && (await helper.get(key, { signal }))) {
    await helper.erase(key, { signal })
    removedFrom.push(helper.program)
  }
  if (await replaceEntry(host, file, undefined)) removedFrom.push(file.path)
  return removedFrom
}

function helperOf(
  host: string,
  file: AuthFile,
  env: LogoutOptions['env'],
): CredentialHelper | undefined {
  const name = new DockerConfig(file).helperFor(host)
  return name === undefined ? undefined : new CredentialHelper(name, { env })
}

/**
 * Puts an entry in place of all entries for a host, however they are spelled; those for parts of
 * it stay. False when there was nothing to change.
 */
async function replaceEntry(
  host: string,
  file: AuthFile,
  entry: JsonObject | undefined,
): Promise<boolean> {
  const config = new DockerConfig(file)
  const old = config.entriesFor(host).filter(({ namespace }) => namespace === '')
  if (old.length === 0 && !entry) return false
  const names = new Set(old.map(({ key }) => key))
  const kept = Object.entries(config.auths()).filter(([key]) => !names.has(key))
  const added = entry ? [[credentialKey(host), entry] as const] : []
  const auths = Object.fromEntries([...kept, ...added])
  await writeAuthFile({ path: file.path, document: { ...file.document, auths } })
  return true
}
