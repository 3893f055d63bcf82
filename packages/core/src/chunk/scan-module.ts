import { gearTable, LOOSE_MASK, NORMAL_CHUNK_BYTES, STRICT_MASK } from './gear.ts'

/** The module that looks for the end of a chunk: assembled from `test/chunk/scan-source.ts`. */
export const SCAN_MODULE =
  'AGFzbQEAAAABCAFgA39/fgF/AgwBAAZtZW1vcnkCAAEDAgEABgYBfgFCAAsHDwIEaGFzaAMABHNjYW4AAArOAwHLAwICfwR+IwAhBQJAA0AgASAAa0GAwABJDQFCACEGQgAhB0IAIQggACIDQcAAaiEEA0AgBkIBhiADLQDAD0EDdCkDAHwhBiAHQgGGIAMtAMAfQQN0KQMAfCEHIAhCAYYgAy0AwC9BA3QpAwB8IQggA0EBaiIDIARHDQALIAAiA0GAEGohBANAIAVCAYYgAy0AAEEDdCkDAHwhBSAFIAKDUA0CIAZCAYYgAy0AgBBBA3QpAwB8IQYgBiACg1ANAiAHQgGGIAMtAIAgQQN0KQMAfCEHIAcgAoNQDQIgCEIBhiADLQCAMEEDdCkDAHwhCCAIIAKDUA0CIAVCAYYgAy0AAUEDdCkDAHwhBSAFIAKDUA0CIAZCAYYgAy0AgRBBA3QpAwB8IQYgBiACg1ANAiAHQgGGIAMtAIEgQQN0KQMAfCEHIAcgAoNQDQIgCEIBhiADLQCBMEEDdCkDAHwhCCAIIAKDUA0CIANBAmoiAyAERw0ACyAIIgUkACAAQYDAAGohAAwACwsjACEFIAAhAwJAA0AgAyABTw0BIAVCAYYgAy0AAEEDdCkDAHwhBSADQQFqIQMgBSACg0IAUg0AIAUkACADDwsLIAUkAEEACw=='

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

/** Looks for the ends of chunks in copies of their bytes, a stretch at a time. */
export class BoundaryScanner {
  readonly #window: Uint8Array
  readonly #exports: ScanExports
  readonly #start: number

  /** @param bytes The longest stretch. */
  constructor(bytes: number) {
    const table = gearTable()
    this.#start = table.byteLength
    const memory = new wasm.Memory({
      initial: Math.ceil((this.#start + bytes) / PAGE_BYTES),
    })
    new BigUint64Array(memory.buffer, 0, table.length).set(table)
    this.#window = new Uint8Array(memory.buffer, this.#start, bytes)
    this.#exports = newInstance(memory)
  }

  /** Begins a chunk. */
  reset(): void {
    this.#exports.hash.value = 0n
  }

  /**
   * Continues the present chunk over its next bytes, the first of which is at `at` in it: how many of them
   * belong to it where it ends among them, else 0. To be called for each byte once, in order.
   */
  scan(bytes: Uint8Array, at: number): number {
    this.#window.set(bytes)
    const strict = Math.min(Math.max(NORMAL_CHUNK_BYTES - at, 0), bytes.length)
    return this.#scan(0, strict, STRICT_MASK) || this.#scan(strict, bytes.length, LOOSE_MASK)
  }

  #scan(from: number, to: number, mask: bigint): number {
    if (from >= to) return 0
    const found = this.#exports.scan(this.#start + from, this.#start + to, mask)
    return found === 0 ? 0 : found - this.#start
  }
}

function newInstance(memory: object): ScanExports {
  compiled ??= new wasm.Module(Buffer.from(SCAN_MODULE, 'base64'))
  return new wasm.Instance(compiled, { '': { memory } }).exports as ScanExports
}
