import { BlockList, isIP } from 'node:net'

/** What an address is to a client that a registry sends there. */
export type AddressKind = 'public' | 'private' | 'forbidden'

/**
 * What an IP address is. `forbidden`: what no registry can be at, and where machines keep what is
 * theirs alone: link-local addresses, those where clouds give credentials to their machines, multicast,
 * and reserved ranges. An IPv6 address that leads to an IPv4 one (mapped, NAT64, 6to4, Teredo) is
 * what that one is. A text that is no address is `forbidden`.
 */
export function kindOfAddress(address: string): AddressKind {
  // As a whole: what follows a `%` can be no zone (RFC 4007, section 11), and then this is no address.
  const family = isIP(address)
  if (family === 0) return 'forbidden'
  const plain = address.replace(/%.*$/, '')
  if (family === 4) return kindOf(plain, 'ipv4')
  const embedded = embeddedIn(plain).map((v4) => kindOf(v4, 'ipv4'))
  const kinds = new Set([kindOf(plain, 'ipv6'), ...embedded])
  if (kinds.has('forbidden')) return 'forbidden'
  return kinds.has('private') ? 'private' : 'public'
}

const FORBIDDEN = blockListOf([
  ['169.254.0.0', 16], // link-local: AWS, Google, Azure and most others
  ['100.100.100.200', 32], // Alibaba
  ['168.63.129.16', 32], // Azure
  ['192.0.0.0', 24], // for protocols; Oracle at 192.0.0.192
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and broadcast
  ['fe80::', 10], // link-local
  ['fd00:ec2::254', 128], // AWS
  ['fd20:ce::254', 128], // Google
  ['ff00::', 8], // multicast
  ['100::', 64], // discard
])

const PRIVATE = blockListOf([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['fc00::', 7],
  ['fec0::', 10],
  ['::', 127],
])

function blockListOf(nets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [net, bits] of nets) list.addSubnet(net, bits, net.includes(':') ? 'ipv6' : 'ipv4')
  return list
}

function kindOf(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  if (FORBIDDEN.check(address, family)) return 'forbidden'
  return PRIVATE.check(address, family) ? 'private' : 'public'
}

/** The IPv4 addresses that an IPv6 address leads to, by all that its prefix may mean. */
function embeddedIn(address: string): readonly string[] {
  const groups = groupsOf(address)
  const pair = (i: number): readonly [number, number] => [groups[i] ?? 0, groups[i + 1] ?? 0]
  const last = dotted(...pair(6))
  const starts = (...wanted: readonly number[]): boolean =>
    wanted.every((group, i) => groups[i] === group)
  // `::1` and `::` are addresses of IPv6 itself.
  if (starts(0, 0, 0, 0, 0, 0)) return groups[6] === 0 && (groups[7] ?? 0) < 2 ? [] : [last]
  // Mapped, and translated (RFC 2765).
  if (starts(0, 0, 0, 0, 0, 0xffff) || starts(0, 0, 0, 0, 0xffff, 0)) return [last]
  if (starts(0x64, 0xff9b, 0, 0, 0, 0)) return [last]
  // A network's own NAT64 prefix may be of any length from 48 bits on (RFC 6052, 2.2).
  if (starts(0x64, 0xff9b, 1)) return [last, ...spread(groups)]
  if (starts(0x2002)) return [dotted(...pair(1))]
  if (starts(0x2001, 0)) return [dotted(...pair(2)), dotted(~(groups[6] ?? 0), ~(groups[7] ?? 0))]
  // ISATAP (RFC 5214), below any prefix.
  const isIsatap = groups[5] === 0x5efe && [0, 0x200].includes(groups[4] ?? 0)
  return isIsatap ? [last] : []
}

/** The IPv4 address behind a NAT64 prefix of 48, 56 and 64 bits: bits 64 to 71 are passed over. */
function spread(groups: readonly number[]): readonly string[] {
  const bytes = groups.flatMap((group) => [group >> 8, group & 0xff])
  const packed = bytes.filter((_, i) => i !== 8)
  return [6, 7, 8].map((start) => packed.slice(start, start + 4).join('.'))
}

function dotted(high: number, low: number): string {
  return [high >> 8, high, low >> 8, low].map((byte) => byte & 0xff).join('.')
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const hex = address.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, ...parts: readonly string[]) =>
      `${((Number(parts[0]) << 8) | Number(parts[1])).toString(16)}:${((Number(parts[2]) << 8) | Number(parts[3])).toString(16)}`,
  )
  const [head = '', tail] = hex.split('::')
  const read = (text: string): readonly number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  if (tail === undefined) return read(head)
  const [first, second] = [read(head), read(tail)]
  return [...first, ...Array<number>(8 - first.length - second.length).fill(0), ...second]
}
