import { createHash } from 'node:crypto'
import { join } from 'node:path'
import {
  asObject,
  asString,
  type JsonObject,
  optional,
  parseJson,
  readBoundedFile,
  readOptionalFile,
  S3loError,
  type TransportOptions,
} from '@s3lo/core'

/** Docker's settings hold no more, nor do certificates. */
const MAX_SETTINGS_BYTES = 4 * 1024 * 1024

/** What TLS needs, as PEM. */
interface EngineTls {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly rejectUnauthorized?: boolean
}

/** Where an engine listens. `text` is for messages. */
export type EngineAddress =
  | { readonly kind: 'socket'; readonly text: string; readonly path: string }
  | {
      readonly kind: 'tcp'
      readonly text: string
      readonly host: string
      readonly port: number
      readonly tls?: EngineTls
    }

const DEFAULT_HOST =
  process.platform === 'win32' ? 'npipe:////./pipe/docker_engine' : 'unix:///var/run/docker.sock'

/**
 * Finds the engine as the docker command does: `DOCKER_HOST`, else the context that
 * `DOCKER_CONTEXT` or the configuration names, else the default socket.
 */
export async function findEngine(options: TransportOptions): Promise<EngineAddress> {
  const { env } = options
  if (env['DOCKER_HOST']) {
    return parseHost(env['DOCKER_HOST'], options, () => environmentTls(options))
  }
  const name = env['DOCKER_CONTEXT'] || (await currentContext(env)) || 'default'
  if (name === 'default') return parseHost(DEFAULT_HOST, options, () => environmentTls(options))
  return findContext(name, options)
}

async function parseHost(
  text: string,
  { plainHttp }: TransportOptions,
  tls: () => Promise<EngineTls | undefined>,
): Promise<EngineAddress> {
  const unix = /^unix:\/\/(\/.*)$/.exec(text)?.[1]
  if (unix !== undefined) return { kind: 'socket', text, path: unix }
  const pipe = /^npipe:\/\/(.+)$/.exec(text)?.[1]
  if (pipe !== undefined) return { kind: 'socket', text, path: pipe.replaceAll('/', '\\') }
  if (text.startsWith('ssh://')) {
    throw new S3loError('UNSUPPORTED', `the docker engine at ${text} is only reachable by ssh`, {
      hint: 'forward its socket, for example ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST, and set DOCKER_HOST=unix:///tmp/docker.sock',
    })
  }
  const secure = plainHttp ? undefined : await tls()
  return parseTcp(text, text.startsWith('https:') ? (secure ?? {}) : secure)
}

function parseTcp(text: string, tls: EngineTls | undefined): EngineAddress {
  const url = URL.parse(text.replace(/^(?:tcp|https?):\/\//, 'http://'))
  if (!url || !/^(?:tcp|https?):\/\//.test(text) || url.hostname === '' || url.pathname !== '/') {
    throw new S3loError('USAGE', `${JSON.stringify(text)} is not the address of a docker engine`, {
      hint: 'DOCKER_HOST is unix:///path, tcp://host:port or npipe:////./pipe/name',
    })
  }
  // The URL parser drops port 80 of http, which a tcp address may well mean.
  const port = Number(/:(\d+)\/?$/.exec(text)?.[1] ?? (tls ? 2376 : 2375))
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  return { kind: 'tcp', text, host, port, ...(tls ? { tls } : {}) }
}

/** `DOCKER_TLS_VERIFY` turns TLS on, as does an authority given by the caller. */
async function environmentTls({ env, tlsCa }: TransportOptions): Promise<EngineTls | undefined> {
  const ca = tlsCa === undefined ? undefined : await readAuthority(tlsCa)
  if (!env['DOCKER_TLS_VERIFY']) return ca ? { ca } : undefined
  const folder = env['DOCKER_CERT_PATH'] || configFolder(env)
  const files = folder === undefined ? {} : await readTls(folder)
  return { ...files, ...(ca ? { ca } : {}) }
}

function readAuthority(path: string): Promise<Buffer> {
  return readBoundedFile(path, MAX_SETTINGS_BYTES)
}

async function readTls(folder: string): Promise<EngineTls> {
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((file) =>
      readOptionalFile(join(folder, file), MAX_SETTINGS_BYTES),
    ),
  )
  return { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) }
}

function configFolder(env: TransportOptions['env']): string | undefined {
  const home = env['HOME'] || env['USERPROFILE']
  return env['DOCKER_CONFIG'] || (home ? join(home, '.docker') : undefined)
}

async function currentContext(env: TransportOptions['env']): Promise<string | undefined> {
  const folder = configFolder(env)
  const path = folder === undefined ? undefined : join(folder, 'config.json')
  const content = path === undefined ? undefined : await readOptionalFile(path, MAX_SETTINGS_BYTES)
  if (!content || path === undefined) return undefined
  return optional(readSettings(content, path), 'currentContext', path, asString)
}

/** Contexts are kept under the hash of their name (docker/cli, "context store"). */
async function findContext(name: string, options: TransportOptions): Promise<EngineAddress> {
  const folder = configFolder(options.env) ?? ''
  const id = createHash('sha256').update(name).digest('hex')
  const path = join(folder, 'contexts', 'meta', id, 'meta.json')
  const content = await readOptionalFile(path, MAX_SETTINGS_BYTES)
  if (!content) {
    throw new S3loError('NOT_FOUND', `docker context ${JSON.stringify(name)} is not there`, {
      hint: 'docker context ls shows what there is; DOCKER_HOST overrides contexts',
    })
  }
  const endpoints = asObject(readSettings(content, path)['Endpoints'], `${path}: Endpoints`)
  const endpoint = asObject(endpoints['docker'], `${path}: Endpoints.docker`)
  const host = optional(endpoint, 'Host', path, asString) || DEFAULT_HOST
  const tlsFolder = join(folder, 'contexts', 'tls', id, 'docker')
  return parseHost(host, options, () => contextTls(tlsFolder, endpoint, options))
}

async function contextTls(
  folder: string,
  endpoint: JsonObject,
  { tlsCa }: TransportOptions,
): Promise<EngineTls | undefined> {
  const files = await readTls(folder)
  const ca = tlsCa === undefined ? {} : { ca: await readAuthority(tlsCa) }
  const skip = endpoint['SkipTLSVerify'] === true ? { rejectUnauthorized: false } : {}
  const tls = { ...files, ...ca, ...skip }
  return Object.keys(tls).length > 0 ? tls : undefined
}

function readSettings(content: Buffer, path: string): JsonObject {
  return asObject(parseJson(content, path), path)
}
