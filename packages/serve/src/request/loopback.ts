import { isIP } from 'node:net'

/** True for names of this machine that no DNS server has a say in. */
export function isLoopbackName(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/^\[(?<address>.*)\]$/, '$<address>')
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name)
}

/** True for an address of this machine itself. */
export function isLoopbackAddress(address: string): boolean {
  const plain = plainAddress(address)
  return isIP(plain) === 4 ? plain.startsWith('127.') : plain === '::1'
}

/** An IPv4 address that a socket of IPv6 shows, as IPv4. */
export function plainAddress(address: string): string {
  return /^::ffff:(?<v4>\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.groups?.['v4'] ?? address
}
