import { RecentMap } from '@s3lo/core'
import { isIPv6 } from 'node:net'
import { plainAddress } from '../request/loopback.ts'

/** Wrong log-ins that an address may make at once. */
const ALLOWANCE = 10

/** One more each (milliseconds). */
const REFILL = 6_000

/** Addresses that are remembered. */
const MAX_ADDRESSES = 10_000

/** Slows down the guessing of passwords: by address, with the names of all users. */
export interface LogInPace {
  /** Seconds until the next log-in of an address is looked at; 0 for now. */
  waitOf(address: string): number
  failed(address: string): void
}

/**
 * An address has an allowance of wrong log-ins that refills with time. Memory is bounded: of very
 * many addresses, those that were seen longest ago are forgotten.
 */
export function createLogInPace(now: () => number = Date.now): LogInPace {
  /** When the allowance of an address will be whole again. */
  const whole = new RecentMap<string, number>(MAX_ADDRESSES)
  return {
    waitOf(address) {
      const left = (whole.get(networkOf(address)) ?? 0) - now()
      return Math.max(0, Math.ceil((left - (ALLOWANCE - 1) * REFILL) / 1000))
    },
    failed(address) {
      const network = networkOf(address)
      whole.set(network, Math.max(whole.get(network) ?? 0, now()) + REFILL)
    },
  }
}

/** Of an IPv6 address its /64, of which one client has every address. */
function networkOf(text: string): string {
  const address = plainAddress(text)
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('%')[0]?.toLowerCase().split('::') ?? []
  const first = head === '' ? [] : head.split(':')
  const zeros = tail === undefined ? 0 : 8 - first.length - tail.split(':').filter(Boolean).length
  return [...first, ...Array.from({ length: zeros }, () => '0'), ...(tail?.split(':') ?? [])]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
