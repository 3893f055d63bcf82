import { gearTable, LOOSE_MASK, STRICT_MASK } from '../../src/chunk/gear.ts'

const [MIN, NORMAL, MAX] = [1 << 20, 1 << 22, 1 << 24]

/** The lengths of the chunks of content: the definition word by word, in two halves of 64 bits. */
export function plainCuts(content: Uint8Array): number[] {
  const table = gearTable()
  const low = Array.from(table, (entry) => Number(entry & 0xffff_ffffn))
  const high = Array.from(table, (entry) => Number(entry >> 32n))
  const strict = halves(STRICT_MASK)
  const loose = halves(LOOSE_MASK)
  const lengths: number[] = []
  for (let start = 0; start < content.length; start += lengths.at(-1)!) {
    lengths.push(lengthOf(content.subarray(start)))
  }
  return lengths

  function lengthOf(rest: Uint8Array): number {
    if (rest.length <= MIN) return rest.length
    const end = Math.min(rest.length, MAX)
    let [h, l] = [0, 0]
    for (let i = MIN; i < end; i++) {
      const byte = rest[i]!
      const sum = ((l << 1) >>> 0) + low[byte]!
      h = ((h << 1) + (l >>> 31) + high[byte]! + (sum > 0xffff_ffff ? 1 : 0)) >>> 0
      l = sum >>> 0
      const mask = i < NORMAL ? strict : loose
      if ((h & mask.high) === 0 && (l & mask.low) === 0) return i + 1
    }
    return end
  }
}

function halves(mask: bigint): { readonly low: number; readonly high: number } {
  return { low: Number(mask & 0xffff_ffffn), high: Number(mask >> 32n) }
}
