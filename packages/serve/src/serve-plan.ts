import { parseDuration } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import type { BlockList } from 'node:net'
import type { RedirectMode, RedirectOptions } from './answer/redirect.ts'
import { parseByteSize } from './byte-size.ts'
import { type AccessRule, changesAnonymously, OPEN_RULES } from './auth/rules.ts'
import type { ServeConfig } from './config/serve-config.ts'
import { isLoopback, type ListenAddress, parseListenAddress } from './listen-address.ts'
import { parseNetworks, parseOrigin } from './request/client.ts'
import { isLoopbackName } from './request/loopback.ts'
import type { TlsFiles } from './server.ts'

/** The document of a server that has ended. */
export interface ServeResult {
  readonly store: string
  /** Where it was served. */
  readonly url: string
}

/** What the command line says. What it says comes before what `serve.yaml` says. */
export interface ServeSettings {
  readonly config?: string | undefined
  readonly listen?: string | undefined
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  readonly externalUrl?: string | undefined
  readonly allowHost?: readonly string[] | undefined
  readonly readOnly: boolean
  readonly redirect?: string | undefined
  readonly redirectEndpoint?: string | undefined
  readonly noRedirect?: readonly string[] | undefined
  readonly presignTtl?: string | undefined
  readonly allowAnonymous?: string | undefined
  readonly accessLog?: boolean | undefined
  readonly maxConnections?: string | undefined
  readonly maxBlob?: string | undefined
  readonly workers?: string | undefined
  readonly drain?: string | undefined
}

/** Which clients are sent to the store, and where they find it. */
interface RedirectPlan extends Omit<RedirectOptions, 'signer'> {
  /** Where clients reach the store, if not where this server does. */
  readonly endpoint: string | undefined
}

/** How a store is served: every default filled in, and nothing in it that must not be. */
export interface ServePlan {
  readonly address: ListenAddress
  readonly tls: TlsFiles | undefined
  readonly externalUrl: string | undefined
  readonly allowHosts: readonly string[]
  readonly trustedProxies: BlockList | undefined
  readonly rules: readonly AccessRule[]
  /** There are users or issuers. */
  readonly canLogIn: boolean
  /** Other machines can reach it: by its address, or by a name that it answers to. */
  readonly isFar: boolean
  readonly readOnly: boolean
  readonly redirect: RedirectPlan
  readonly accessLog: boolean
  readonly maxConnections: number
  readonly maxBlobBytes: number
  /** Milliseconds. */
  readonly drain: number
}

const DEFAULT_ADDRESS = '127.0.0.1:5732'
const DEFAULT_DRAIN = '30s'
const DEFAULT_PRESIGN_TTL = '1h'
const DEFAULT_CONNECTIONS = 4096
const DEFAULT_MAX_BLOB = 2 ** 40
/** What clouds sign at most. */
const MAX_PRESIGN_SECONDS = 7 * 24 * 3600

/** Milliseconds that running requests are given once the server is to end. Throws `USAGE`. */
export function drainTime({ drain = DEFAULT_DRAIN }: Pick<ServeSettings, 'drain'>): number {
  const time = parseDuration(drain)
  if (time >= 0) return time
  throw new S3loError('USAGE', `--drain ${drain} is less than nothing`)
}

/** Throws `USAGE` for what contradicts itself, or would let strangers in. */
export function planServing(settings: ServeSettings, config: ServeConfig): ServePlan {
  const address = parseListenAddress(settings.listen ?? config.listen ?? DEFAULT_ADDRESS)
  const externalUrl = originOf(settings.externalUrl) ?? config.externalUrl
  const allowHosts = [...(settings.allowHost ?? []), ...config.allowHosts]
  const names = externalUrl === undefined ? allowHosts : [...allowHosts, hostOf(externalUrl)]
  const isFar = !isLoopback(address.host) || !names.every(isLoopbackName)
  const canLogIn = config.htpasswd !== undefined || config.issuers.length > 0
  return {
    address,
    tls: tlsOf(settings) ?? config.tls,
    externalUrl,
    allowHosts,
    trustedProxies: config.trustedProxies,
    rules: rulesOf(settings, config, { canLogIn, isFar }),
    canLogIn,
    isFar,
    readOnly: settings.readOnly || config.readOnly === true || (isFar && !canLogIn),
    redirect: redirectPlan(settings),
    accessLog: settings.accessLog === true || config.accessLog === true,
    maxConnections: connectionsOf(settings) ?? config.limits.connections ?? DEFAULT_CONNECTIONS,
    maxBlobBytes: maxBlobOf(settings) ?? config.limits.blob ?? DEFAULT_MAX_BLOB,
    drain: drainTime(settings),
  }
}

interface Exposure {
  readonly canLogIn: boolean
  readonly isFar: boolean
}

const ANYONE_PULLS: AccessRule = {
  repositories: ['**'],
  who: [{ kind: 'anonymous' }],
  may: ['pull', 'catalog'],
}

function rulesOf(
  { allowAnonymous }: ServeSettings,
  { rules }: ServeConfig,
  { canLogIn, isFar }: Exposure,
): readonly AccessRule[] {
  if (allowAnonymous !== undefined && allowAnonymous !== 'pull') {
    throw new S3loError('USAGE', `--allow-anonymous ${allowAnonymous} does not exist`, {
      hint: 'anonymous clients of other machines may pull, and never push',
    })
  }
  const anyone = allowAnonymous === undefined ? [] : [ANYONE_PULLS]
  if (isFar && rules?.some(changesAnonymously)) {
    throw new S3loError('USAGE', 'an access rule lets anonymous clients push or delete', {
      hint: 'that is possible on a loopback address only, without other names',
    })
  }
  if (rules) return [...rules, ...anyone]
  if (canLogIn && !allowAnonymous) {
    throw new S3loError(
      'USAGE',
      'there are users or tokens, and no rule that lets them do anything',
      {
        hint: 'write rules under access: in the configuration',
      },
    )
  }
  if (!isFar) return OPEN_RULES
  if (allowAnonymous) return anyone
  throw new S3loError('USAGE', 'other machines can reach this server, and anyone on them', {
    hint: 'say who may do what with --config, or let everyone read with --allow-anonymous pull',
  })
}

function tlsOf({ tlsCert, tlsKey }: ServeSettings): TlsFiles | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined) return { cert: tlsCert, key: tlsKey }
  if (tlsCert === tlsKey) return undefined
  throw new S3loError('USAGE', '--tls-cert and --tls-key are given together or not at all')
}

function originOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const origin = parseOrigin(text)
  if (origin !== undefined) return origin
  throw new S3loError('USAGE', `${text} is not like https://registry.example`)
}

function hostOf(origin: string): string {
  return new URL(origin).hostname
}

function connectionsOf({ maxConnections }: ServeSettings): number | undefined {
  if (maxConnections === undefined) return undefined
  const count = /^\d{1,7}$/.test(maxConnections) ? Number(maxConnections) : 0
  if (count > 0) return count
  throw new S3loError('USAGE', `--max-connections ${maxConnections} is not a number of 1 or more`)
}

function maxBlobOf({ maxBlob }: ServeSettings): number | undefined {
  if (maxBlob === undefined) return undefined
  const bytes = parseByteSize(maxBlob)
  if (bytes !== undefined) return bytes
  throw new S3loError('USAGE', `--max-blob ${maxBlob} is not a size like 50GiB`)
}

/** How many processes serve. Throws `USAGE`. */
export function workersOf({ workers = '1' }: Pick<ServeSettings, 'workers'>): number {
  const count = /^\d{1,3}$/.test(workers) ? Number(workers) : 0
  if (count > 0) return count
  throw new S3loError('USAGE', `--workers ${workers} is not a number of 1 to 999`)
}

function redirectPlan(settings: ServeSettings): RedirectPlan {
  const { redirectEndpoint, noRedirect = [] } = settings
  const mode = redirectMode(settings)
  if (mode === 'never' && redirectEndpoint !== undefined) {
    throw new S3loError('USAGE', '--redirect never and --redirect-endpoint contradict each other')
  }
  const except = parseNetworks(noRedirect)
  if (!except) {
    throw new S3loError('USAGE', `--no-redirect ${noRedirect.join(', ')} has what is no network`, {
      hint: 'networks are like 10.0.0.0/8',
    })
  }
  return {
    mode,
    expiresInSeconds: presignSeconds(settings),
    endpoint: endpointOf(redirectEndpoint),
    except: noRedirect.length > 0 ? except : undefined,
  }
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined || parseOrigin(text) !== undefined) return text
  throw new S3loError('USAGE', `--redirect-endpoint ${text} is not like https://store.example`)
}

function redirectMode({ redirect = 'auto' }: ServeSettings): RedirectMode {
  if (redirect === 'auto' || redirect === 'always' || redirect === 'never') return redirect
  throw new S3loError('USAGE', `--redirect ${redirect} is none of auto, always and never`)
}

function presignSeconds({ presignTtl = DEFAULT_PRESIGN_TTL }: ServeSettings): number {
  const seconds = Math.floor(parseDuration(presignTtl) / 1000)
  if (seconds > 0 && seconds <= MAX_PRESIGN_SECONDS) return seconds
  throw new S3loError('USAGE', `--presign-ttl ${presignTtl} is not between 1s and 168h`)
}
