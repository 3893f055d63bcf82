import type { CallOptions } from '../contract/call-options.ts'
import type { LayerReaderContext } from '../contract/layer-reader.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { layerIndexKey } from '../layout/keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { readObject } from '../store/read-object.ts'

/** An index that is larger than this is not read (bytes). */
const MAX_INDEX_BYTES = 256 * 1024 * 1024

/** What one reader keeps beside layers; one that is probably needed can be asked for ahead. */
export class KeptIndexes {
  /** Bytes. */
  fetched = 0
  readonly #backend: StorageBackend
  readonly #reader: string
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #ahead = new Map<string, Promise<Uint8Array | undefined>>()

  /** `reader` is the name that its indexes are kept under. */
  constructor(backend: StorageBackend, reader: string, { signal }: CallOptions = {}) {
    this.#backend = backend
    this.#reader = reader
    const stop = this.#stop.signal
    this.#signal = signal ? AbortSignal.any([signal, stop]) : stop
  }

  prefetch(layer: Descriptor | undefined): void {
    if (!layer || this.#ahead.has(layer.digest)) return
    const reading = this.#fetch(layer.digest, this.#signal)
    reading.catch(() => undefined) // Its reader gets the failure; it may have none.
    this.#ahead.set(layer.digest, reading)
  }

  read: LayerReaderContext['indexes']['read'] = async ({ digest }, { signal } = {}) => {
    const ahead = this.#ahead.get(digest)
    this.#ahead.delete(digest)
    return ahead ?? this.#fetch(digest, signal)
  }

  write: LayerReaderContext['indexes']['write'] = async ({ digest }, content, options) => {
    await this.#backend.put(layerIndexKey(this.#reader, digest), content, {
      ...options,
      size: content.byteLength,
      mediaType: 'application/octet-stream',
    })
  }

  /** Ends what was asked for and is not needed. */
  close(): void {
    this.#stop.abort()
  }

  async #fetch(digest: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const key = layerIndexKey(this.#reader, digest)
    const content = await readObject(this.#backend, key, MAX_INDEX_BYTES, { signal })
    this.fetched += content?.byteLength ?? 0
    return content
  }
}
