import { lookup as lookupAddress, type LookupAddress, type LookupOptions } from 'node:dns'
import { isIP } from 'node:net'
import { S3loError } from '@s3lo/core/plugin'
import { kindOfAddress } from './addresses.ts'
import { isLoopbackHost } from './loopback-host.ts'

/** What `net.connect` calls to look a name up, and what it is given. */
type LookupDone = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void
type Lookup = (host: string, options: LookupOptions, done: LookupDone) => void

/**
 * Decides where a registry may send us: never to an address that is forbidden (there clouds keep the
 * credentials of their machines), and to a private or loopback one only when the registry has such
 * an address itself. Names are judged by what they resolve to, at the moment of connecting;
 * behind a proxy that is the proxy's business.
 */
export class AddressGuard {
  /** The lookup for connections to the registry itself. */
  readonly lookupOwn: Lookup
  readonly #origin: string
  #isPrivate: boolean

  constructor(registry: URL, lookup: Lookup = lookupAddress) {
    this.#origin = registry.origin
    this.lookupOwn = lookup
    const host = bareHost(registry)
    this.#isPrivate =
      isLoopbackHost(host) || (isIP(host) !== 0 && kindOfAddress(host) === 'private')
  }

  /** True for the registry itself: same scheme, host and port. */
  isOwn(url: URL): boolean {
    return url.origin === this.#origin
  }

  /** Throws `FORBIDDEN` for an address, written as such, that the registry must not send us to. */
  assertAllowed(url: URL): void {
    const host = bareHost(url)
    if (isIP(host) !== 0) this.#assertAddress(host)
    else if (isLoopbackHost(host) && !this.#isPrivate) throw refused(host)
  }

  /**
   * Learns where the registry stands, from a connection that was made to it: what its name
   * resolves to is only a claim.
   */
  learn(address: string): void {
    this.#isPrivate = kindOfAddress(address) === 'private'
  }

  /** The lookup for connections to anywhere else: fails for addresses that are not allowed. */
  readonly lookupForeign: Lookup = (host, options, done) => {
    this.lookupOwn(host, options, (error, address, family) => {
      if (!error) {
        try {
          for (const one of addressesOf(address)) this.#assertAddress(one)
        } catch (refusal) {
          done(refusal as NodeJS.ErrnoException, [])
          return
        }
      }
      done(error, address, family)
    })
  }

  #assertAddress(address: string): void {
    const kind = kindOfAddress(address)
    if (kind === 'forbidden' || (kind === 'private' && !this.#isPrivate)) throw refused(address)
  }
}

function addressesOf(address: string | LookupAddress[]): readonly string[] {
  return typeof address === 'string' ? [address] : address.map((one) => one.address)
}

/** The URL's host, an IPv6 address without its brackets. */
function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function refused(address: string): S3loError {
  return new S3loError(
    'FORBIDDEN',
    `the registry names ${address}, an address of this machine's own network`,
    { hint: 'a registry that does so is misconfigured, or tries to reach what it must not' },
  )
}
