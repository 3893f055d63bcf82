const SURROGATE = /[\ud800-\udfff]/

/** The order of keys and names: by UTF-8 bytes, which differs from that of strings above U+FFFF. */
export function byUtf8(a: string, b: string): number {
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : a > b ? 1 : 0
}
