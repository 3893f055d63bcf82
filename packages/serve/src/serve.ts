import { type CallOptions, type Host, parseDuration } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { assertRedirects, type RedirectMode } from './answer/redirect.ts'
import { healthPages } from './health.ts'
import { isLoopback, type ListenAddress, parseListenAddress } from './listen-address.ts'
import { createRegistry } from './registry.ts'
import { startServer, type TlsFiles } from './server.ts'

/** What the command line says. */
export interface ServeSettings {
  readonly listen?: string | undefined
  readonly tlsCert?: string | undefined
  readonly tlsKey?: string | undefined
  readonly readOnly: boolean
  readonly redirect?: string | undefined
  readonly presignTtl?: string | undefined
  readonly allowAnonymous?: string | undefined
  readonly drain?: string | undefined
}

interface ServeResult {
  readonly store: string
  /** Where it was served. */
  readonly url: string
}

/** A server that takes requests. */
export interface Serving extends ServeResult {
  /** What to tell people. */
  readonly lines: readonly string[]
  /** Lets running requests end, and closes the store. */
  readonly stop: () => Promise<void>
}

const DEFAULT_ADDRESS = '127.0.0.1:5732'
const DEFAULT_DRAIN = '30s'
const DEFAULT_PRESIGN_TTL = '1h'
/** What clouds sign at most. */
const MAX_PRESIGN_SECONDS = 7 * 24 * 3600

/** Milliseconds that running requests are given once the server is to end. Throws `USAGE`. */
export function drainTime({ drain = DEFAULT_DRAIN }: Pick<ServeSettings, 'drain'>): number {
  const time = parseDuration(drain)
  if (time >= 0) return time
  throw new S3loError('USAGE', `--drain ${drain} is less than nothing`)
}

/** Opens the store and serves it. Throws `USAGE` before anything is opened. */
export async function startServing(
  host: Pick<Host, 'openStore'>,
  reference: string,
  settings: ServeSettings,
  options: CallOptions,
): Promise<Serving> {
  const plan = planOf(settings)
  const store = await host.openStore(reference, options)
  let isEnding = false
  try {
    assertRedirects(store.backend, plan.redirect.mode)
    const registry = createRegistry(store, {
      readOnly: plan.readOnly,
      redirect: plan.redirect,
      pages: healthPages(store.backend, () => isEnding),
    })
    const server = await startServer(registry.handle, plan)
    const name = `${store.name}/`
    return {
      store: name,
      url: server.url,
      lines: bannerOf(name, server.url, plan),
      stop: async () => {
        isEnding = true
        await server.drain(plan.drain)
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

interface Plan {
  readonly address: ListenAddress
  readonly tls: TlsFiles | undefined
  readonly readOnly: boolean
  readonly isOpen: boolean
  readonly redirect: { readonly mode: RedirectMode; readonly expiresInSeconds: number }
  readonly drain: number
}

function planOf(settings: ServeSettings): Plan {
  const { listen = DEFAULT_ADDRESS, tlsCert, tlsKey, readOnly, allowAnonymous } = settings
  const address = parseListenAddress(listen)
  const isOpen = !isLoopback(address.host)
  if (allowAnonymous !== undefined && allowAnonymous !== 'pull') {
    throw new S3loError('USAGE', `--allow-anonymous ${allowAnonymous} does not exist`, {
      hint: 'anonymous clients of other machines may pull, and never push',
    })
  }
  if (isOpen && allowAnonymous === undefined) {
    throw new S3loError('USAGE', `${listen} can be reached from other machines, by anyone`, {
      hint: '--allow-anonymous pull lets them read every image of the store',
    })
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new S3loError('USAGE', '--tls-cert and --tls-key are given together or not at all')
  }
  const tls =
    tlsCert !== undefined && tlsKey !== undefined ? { cert: tlsCert, key: tlsKey } : undefined
  return {
    address,
    tls,
    isOpen,
    readOnly: readOnly || isOpen,
    redirect: { mode: redirectMode(settings), expiresInSeconds: presignSeconds(settings) },
    drain: drainTime(settings),
  }
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

function bannerOf(store: string, url: string, plan: Plan): readonly string[] {
  const { redirect, readOnly, isOpen, tls } = plan
  return [
    `Serving ${store} at ${url}`,
    redirect.mode === 'never'
      ? 'Blobs: sent by this server'
      : `Blobs: by redirects to the store where clients can reach it (${redirect.mode}), else sent by this server`,
    ...(readOnly ? ['Read-only: pushes and deletes are refused'] : []),
    ...(isOpen
      ? ['Warning: anyone who reaches this address can pull every image of the store']
      : []),
    ...(isOpen && !tls
      ? ['Warning: without TLS, others on the way can read and change what is sent']
      : []),
    'Press Ctrl+C to stop.',
  ]
}
