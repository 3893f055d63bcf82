import { createHash, type Hash } from 'node:crypto'
import type { Spans } from './gzip-checkpoints.ts'
import { encodeTarZinfo } from './zinfo.ts'

/** Spans of a plain tar, which is pushed in pieces of any size: every `spanSize` bytes one. */
export class PlainSpans {
  readonly #spanSize: number
  readonly #digests: string[] = []
  #size = 0
  #hash: Hash | undefined

  constructor(spanSize: number) {
    this.#spanSize = spanSize
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const left = this.#spanSize - (this.#size % this.#spanSize)
      const piece = chunk.subarray(at, at + left)
      this.#hash ??= createHash('sha256')
      this.#hash.update(piece)
      this.#size += piece.length
      at += piece.length
      if (piece.length === left) this.#endSpan()
    }
  }

  finish(): Spans {
    this.#endSpan()
    const checkpoints = encodeTarZinfo({ spanSize: this.#spanSize, size: this.#size })
    return { spanDigests: this.#digests, checkpoints }
  }

  #endSpan(): void {
    if (this.#hash) this.#digests.push(`sha256:${this.#hash.digest('hex')}`)
    this.#hash = undefined
  }
}
