import { MemoryBackend } from '../../src/testing/index.ts'
import { imageFixture, type ImageFixture } from '../../src/testing/fixtures.ts'
import type { StorageBackend } from '../../src/contract/storage-backend.ts'
import { Protection, type ProtectionOptions } from '../../src/gc/protection.ts'
import { blobKey, manifestKey } from '../../src/layout/keys.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { parseManifest, successors } from '../../src/oci/document.ts'

export const SECOND = 1000
export const HOUR = 3_600_000

/** A store with a clock of its own that only tests move. */
export class TimedStore {
  time = Date.UTC(2026, 0, 1)
  readonly backend: MemoryBackend
  readonly #waiting = new Set<{ readonly until: number; readonly wake: () => void }>()

  constructor(options: { readonly deadlines?: boolean; readonly endsWithProcess?: boolean } = {}) {
    this.backend = new MemoryBackend({
      now: () => new Date(this.time),
      guarantees: { deadlines: true, ...options },
    })
  }

  /** Waits for the clock of this store to get there: nothing sleeps. */
  readonly delay = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const entry = { until: this.time + ms, wake: resolve }
      this.#waiting.add(entry)
      const stop = (): void => {
        this.#waiting.delete(entry)
        reject(signal?.reason)
      }
      if (signal?.aborted) stop()
      else signal?.addEventListener('abort', stop, { once: true })
    })

  /** Resolves once a participant waits for so many milliseconds: everything before that has happened. */
  async untilAsleep(ms: number): Promise<void> {
    const isAsleep = (): boolean => [...this.#waiting].some(({ until }) => until === this.time + ms)
    while (!isAsleep()) await new Promise(setImmediate)
  }

  /** Moves the clock without waking any participant: all that wait are paused. */
  pause(ms: number): void {
    this.time += ms
  }

  advance(ms: number): void {
    this.time += ms
    for (const entry of this.#waiting) {
      if (entry.until > this.time) continue
      this.#waiting.delete(entry)
      entry.wake()
    }
  }

  protection(backend: StorageBackend = this.backend, options: ProtectionOptions = {}): Protection {
    const has = async ({ digest, size }: Descriptor): Promise<boolean> =>
      (await backend.head(blobKey(digest)))?.size === size
    return new Protection(backend, has, { delay: this.delay, who: 'test', ...options })
  }

  /** Every published tag with a blob that is not there: to be empty always. */
  async broken(): Promise<readonly string[]> {
    const broken: string[] = []
    for await (const { key } of this.backend.list('manifests/')) {
      if (!key.endsWith('/manifest.json')) continue
      const { body } = await this.backend.get(key)
      const content = Buffer.concat(await body.toArray())
      for (const { digest } of successors(parseManifest(content, key))) {
        if (!(await this.backend.head(blobKey(digest)))) broken.push(`${key} ${digest}`)
      }
    }
    return broken
  }

  async keys(prefix: string): Promise<readonly string[]> {
    const keys: string[] = []
    for await (const { key } of this.backend.list(prefix)) keys.push(key)
    return keys
  }

  /** Puts an image without a pin, as the Go program does. */
  async plant(image: ImageFixture, name?: string): Promise<void> {
    for (const [digest, content] of image.content) await this.backend.put(blobKey(digest), content)
    if (name !== undefined) {
      await this.backend.put(manifestKey({ name, tag: 'latest' }), image.root.content)
    }
  }
}

/** A push as `ImageStore` will do it. */
export async function pushImage(
  backend: StorageBackend,
  protection: Protection,
  image: ImageFixture,
  name: string,
): Promise<void> {
  const descriptors = successors(parseManifest(image.root.content, name))
  const digests = descriptors.map(({ digest }) => digest)
  try {
    await protection.protect(digests)
    for (const descriptor of descriptors) {
      if (await protection.has(descriptor)) continue
      const content = image.content.get(descriptor.digest)!
      await protection.put(descriptor, async () => {
        await backend.put(blobKey(descriptor.digest), content)
        return true
      })
    }
    await publishImage(protection, image, name)
  } finally {
    await protection.release()
  }
}

export async function publishImage(
  protection: Protection,
  image: ImageFixture,
  name: string,
): Promise<void> {
  await protection.publish({
    key: manifestKey({ name, tag: 'latest' }),
    content: image.root.content,
    digests: successors(parseManifest(image.root.content, name)).map(({ digest }) => digest),
  })
}

export function layered(...layers: readonly string[]): ImageFixture {
  return imageFixture({ layers })
}
