import { gearTable, LOOSE_MASK, NORMAL_CHUNK_BYTES, STRICT_MASK } from './gear.ts'

/** The module that looks for the end of a chunk: assembled from `test/chunk/scan-source.ts`. */
export const SCAN_MODULE =
  'AGFzbQEAAAABCAFgA39/fgF/AgwBAAZtZW1vcnkCAAEDAgEABgYBfgFCAAsHDwIEaGFzaAMABHNjYW4AAApIAUYBAX4jACEDAkADQCAAIAFPDQEgA0IBhiAALQAAQQN0KQMAfCEDIABBAWohACADIAKDQgBSDQAgAyQAIAAPCwsgAyQAQQAL'

const PAGE_BYTES = 64 * 1024

/** As much of WebAssembly as is used: Node's types leave it to those of browsers. */
interface WasmApi {
  readonly Memory: new (options: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, object>>,
  ) => { readonly exports: unknown }
}

/** What the module exports. */
interface ScanExports {
  readonly hash: { value: bigint }
  /** Continues the hash over the bytes from `at` to `end`. 0 where no chunk ends there. */
  readonly scan: (at: number, end: number, mask: bigint) => number
}

const { WebAssembly: wasm } = globalThis as unknown as { readonly WebAssembly: WasmApi }
let compiled: object | undefined

/** Looks for the ends of chunks in a memory of its own. */
export class BoundaryScanner {
  /** Where the bytes to be scanned are put. */
  readonly window: Uint8Array
  readonly #exports: ScanExports
  readonly #start: number

  /** @param bytes Length of the window. */
  constructor(bytes: number) {
    const table = gearTable()
    this.#start = table.byteLength
    const memory = new wasm.Memory({
      initial: Math.ceil((this.#start + bytes) / PAGE_BYTES),
    })
    new BigUint64Array(memory.buffer, 0, table.length).set(table)
    this.window = new Uint8Array(memory.buffer, this.#start, bytes)
    this.#exports = newInstance(memory)
  }

  /** Begins a chunk. */
  reset(): void {
    this.#exports.hash.value = 0n
  }

  /**
   * Continues the present chunk, which begins with the window, over the bytes from `at` to `end`:
   * its length where it ends there, else 0. To be called for each byte once, in order.
   */
  scan(at: number, end: number): number {
    const middle = Math.min(end, NORMAL_CHUNK_BYTES)
    return this.#scan(at, middle, STRICT_MASK) || this.#scan(Math.max(at, middle), end, LOOSE_MASK)
  }

  #scan(at: number, end: number, mask: bigint): number {
    if (at >= end) return 0
    const found = this.#exports.scan(this.#start + at, this.#start + end, mask)
    return found === 0 ? 0 : found - this.#start
  }
}

function newInstance(memory: object): ScanExports {
  compiled ??= new wasm.Module(Buffer.from(SCAN_MODULE, 'base64'))
  return new wasm.Instance(compiled, { '': { memory } }).exports as ScanExports
}
