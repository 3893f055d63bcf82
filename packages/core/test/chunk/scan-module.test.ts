import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { gearTable } from '../../src/chunk/gear.ts'
import { BoundaryScanner, SCAN_MODULE } from '../../src/chunk/scan-module.ts'
import { assembleScan } from './scan-source.ts'

/** As much of WebAssembly as is used: Node's types leave it to those of browsers. */
interface WasmApi {
  readonly Memory: new (options: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: ScanExports }
}

interface ScanExports {
  readonly hash: { value: bigint }
  readonly scan: (at: number, end: number, mask: bigint) => number
}

it('the module is what its source assembles to', () => {
  expect(Buffer.from(assembleScan()).toString('base64')).toBe(SCAN_MODULE)
})

it('a scanner continues where it was, and begins anew only when it is told', () => {
  const [whole, halves] = [new BoundaryScanner(4096), new BoundaryScanner(4096)]
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251)
  const places = (...steps: readonly (readonly [number, number])[]): number[] =>
    steps.map(([at, end]) => halves.scan(bytes.subarray(at, end), at))
  expect(whole.scan(bytes, 0)).toBe(0)
  expect(places([0, 1], [1, 1000], [1000, 4096])).toEqual([0, 0, 0])
  expect(places([5, 5])).toEqual([0])
})

describe('the module finds each place that a plain loop finds', () => {
  const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WasmApi }
  const table = gearTable()
  const content = randomBytes(64 * 1024)

  /** The places behind which the hash and the mask have no bit in common, and the hash in the end. */
  function plain(mask: bigint): { readonly places: readonly number[]; readonly hash: bigint } {
    let hash = 0n
    const places: number[] = []
    for (const [i, byte] of content.entries()) {
      hash = BigInt.asUintN(64, (hash << 1n) + table[byte]!)
      if ((hash & mask) === 0n) places.push(i + 1)
    }
    return { places, hash }
  }

  /** The same, of stretches that end at multiples of `length`. */
  function scanned(mask: bigint, length: number): ReturnType<typeof plain> {
    const memory = new wasm.Memory({ initial: 2 })
    new BigUint64Array(memory.buffer, 0, table.length).set(table)
    const start = table.byteLength
    new Uint8Array(memory.buffer, start).set(content)
    const module = new wasm.Module(assembleScan())
    const { scan, hash } = new wasm.Instance(module, { '': { memory } }).exports
    const places: number[] = []
    for (let at = 0; at < content.length;) {
      const end = Math.min(at - (at % length) + length, content.length)
      const found = scan(start + at, start + end, mask)
      at = found === 0 ? end : found - start
      if (found > 0) places.push(at)
    }
    return { places, hash: BigInt.asUintN(64, hash.value) }
  }

  // Bits in the highest and the lowest half: about one place in 16, 1024 and 65536 bytes.
  it.each([0xf000_0000_0000_0000n, 0xfc00_0000_0000_000fn, 0xff00_0000_0000_00ffn])(
    'of mask %d',
    (mask) => {
      const expected = plain(mask)
      for (const length of [content.length, 8192, 8191, 2048, 20_001]) {
        expect(scanned(mask, length)).toEqual(expected)
      }
    },
  )

  it('in every byte of a block, with the hash of 64 bytes before it', () => {
    // No bit of the mask: each byte is a place.
    expect(scanned(0n, content.length).places).toHaveLength(content.length)
  })
})
