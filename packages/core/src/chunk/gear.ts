/**
 * The numbers of FastCDC with normalised chunking (Xia et al., USENIX ATC 2016), as the Go program has
 * them, so that both cut the same content at the same places (docs/go-compatibility.md, chunks).
 */

/** No chunk but the last of a layer is shorter (bytes). */
export const MIN_CHUNK_BYTES = 1 << 20
/** Up to this length the strict mask decides, and the loose one after it (bytes). */
export const NORMAL_CHUNK_BYTES = 1 << 22
/** The longest chunk (bytes). */
export const MAX_CHUNK_BYTES = 1 << 24

/** A chunk ends where the hash and the mask have no bit in common: 22 bits, once in 4 MiB. */
export const STRICT_MASK = 0x14aa_54aa_54aa_5000n
/** 20 bits, once in 1 MiB. */
export const LOOSE_MASK = 0x1294_a529_4a52_9000n

const ENTRIES = 256
const STEP = 0x9e37_79b9_7f4a_7c15n

/** What each byte adds to the hash: 256 numbers of splitmix64. */
export function gearTable(): BigUint64Array {
  const table = new BigUint64Array(ENTRIES)
  let state = STEP
  for (let i = 0; i < ENTRIES; i++) {
    state = BigInt.asUintN(64, state + STEP)
    let z = state
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n)
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn)
    table[i] = z ^ (z >> 31n)
  }
  return table
}
