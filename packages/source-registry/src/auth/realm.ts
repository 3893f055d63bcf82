import { isIP } from 'node:net'
import { S3loError } from '@s3lo/core/plugin'
import { kindOfAddress } from '../addresses.ts'

/** A token service, as a registry names it. */
export interface Realm {
  readonly url: URL
  readonly service: string | undefined
}

const MAX_REALM = 4096
const MAX_SERVICE = 1024

/**
 * Reads where a registry sends us for tokens. Throws `FORBIDDEN` for a place that must not get
 * passwords: one without TLS (unless the registry itself has none), or a forbidden address, where
 * clouds keep the credentials of their machines; `INTEGRITY` for what is no URL.
 */
export function parseRealm(
  realm: string,
  service: string | undefined,
  { host, plainHttp }: { readonly host: string; readonly plainHttp: boolean },
): Realm {
  // A path alone is one of the registry that names it.
  const base = realm.startsWith('/') ? `${plainHttp ? 'http' : 'https'}://${host}` : undefined
  const url = realm.length > MAX_REALM ? null : URL.parse(realm, base)
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw new S3loError('INTEGRITY', `the registry ${host} names no valid URL to log in at`)
  }
  if (url.protocol !== 'https:' && !plainHttp) {
    throw new S3loError('FORBIDDEN', `the registry ${host} asks for a login without TLS`, {
      hint: 'its token service must have an https URL',
    })
  }
  if (isForbidden(url.hostname)) {
    throw new S3loError(
      'FORBIDDEN',
      `the registry ${host} asks for a login at ${url.hostname}, an address of this machine's own network`,
    )
  }
  url.hash = ''
  return { url, service: service?.slice(0, MAX_SERVICE) }
}

function isForbidden(hostname: string): boolean {
  const address = hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(address) !== 0 && kindOfAddress(address) === 'forbidden'
}
