import { Readable } from 'node:stream'

/**
 * A stream of content that is in memory already: a manifest, a config, a history. What wants it whole
 * takes it at once, which costs a third of reading a stream.
 */
export class HeldContent extends Readable {
  readonly #content: Uint8Array

  constructor(content: Uint8Array) {
    super()
    this.#content = content
  }

  override _read(): void {
    if (this.#content.byteLength > 0) this.push(this.#content)
    this.push(null)
  }

  /**
   * Everything, in place of reading it; `undefined` where it is read or destroyed already. The stream is
   * not destroyed: it holds nothing that has to be closed, and the events of thousands would wait for a
   * reader to pause.
   */
  whole(): Uint8Array | undefined {
    return this.readableDidRead || this.destroyed ? undefined : this.#content
  }
}
