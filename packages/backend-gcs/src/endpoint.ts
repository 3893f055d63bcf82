import { type BackendOptions, S3loError } from '@s3lo/core/plugin'
import { GOOGLE_UNIVERSE } from './universe.ts'

/** Where the service is, and what may be sent there. */
export interface Endpoint {
  /** Scheme, host and port, without a `/` at the end. */
  readonly origin: string
  /** Google itself: what it promises need not be proven. */
  readonly isGoogle: boolean
  /** The domain below which Google's other services are. */
  readonly universe: string
  /** True for an emulator, which is sent no token: in the clear anybody could read it. */
  readonly isAnonymous: boolean
}

/**
 * The endpoint that is given, else the emulator that STORAGE_EMULATOR_HOST names, else Google in
 * the `universe` of the credentials. Throws `USAGE` for what is no origin.
 */
export function resolveEndpoint(
  { env, endpoint }: Pick<BackendOptions, 'env' | 'endpoint'>,
  universe: string = GOOGLE_UNIVERSE,
): Endpoint {
  // An empty variable is one that was meant to be unset.
  const emulator = env['STORAGE_EMULATOR_HOST']?.trim() || undefined
  const given = endpoint ?? emulator
  const url = parseOrigin(given ?? `https://storage.${universe}`)
  const isBelow = url.hostname === universe || url.hostname.endsWith(`.${universe}`)
  return {
    origin: url.origin,
    isGoogle: url.protocol === 'https:' && isBelow,
    universe,
    isAnonymous: url.protocol === 'http:' || (endpoint === undefined && emulator !== undefined),
  }
}

/** True where what is sent stays on this machine. */
export function isLoopback({ origin }: Endpoint): boolean {
  return /^http:\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(origin)
}

function parseOrigin(text: string): URL {
  // Google's own clients take an emulator without a scheme too.
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined
  const isOrigin = url?.pathname === '/' && !url.search && !url.hash && !url.username
  if (url && isOrigin && /^https?:$/.test(url.protocol) && url.hostname) return url
  // The text is not repeated: a signed URL could be pasted into it.
  throw new S3loError('USAGE', 'the endpoint for gs:// is not the http or https URL of a host', {
    hint: 'use the form https://storage.googleapis.com, or http://127.0.0.1:4443 for an emulator',
  })
}
