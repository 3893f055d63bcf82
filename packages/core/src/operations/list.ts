import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { MANIFESTS_PREFIX } from '../layout/keys.ts'
import { readLegacyNames } from '../store/legacy-tags.ts'
import { readTagNames } from '../store/tags.ts'

/** An image and its tags, both sorted by bytes; field names are those of `--output json`. */
export interface ListedImage {
  readonly name: string
  readonly tags: readonly string[]
}

export interface ListImagesOptions extends CallOptions {
  /** At most so many images, the first by name; 0 (default) means all. */
  readonly limit?: number | undefined
  /** Only images whose names follow this one: the last name of the window before. */
  readonly startAfter?: string | undefined
}

/**
 * The images of a store, of both layouts, or a window of them. `filter` is empty or ends in `/`:
 * `team/` selects the image `team` and every image below it. Names only: no manifest is read, and no
 * more names are held than a window has.
 */
export async function list(
  backend: StorageBackend,
  filter = '',
  { limit = 0, startAfter = '', ...options }: ListImagesOptions = {},
): Promise<readonly ListedImage[]> {
  const window = new Window(startAfter, limit)
  // A name that follows another has no key before this one.
  const from = startAfter === '' ? {} : { startAfter: `${MANIFESTS_PREFIX}${startAfter}` }
  for await (const { image, tag } of readTagNames(backend, filter, { ...options, ...from })) {
    if (window.isPast(image)) break
    window.add(image, tag)
  }
  for await (const { image, tag } of readLegacyNames(backend, filter, options)) {
    window.add(image, tag)
  }
  return window.images
}

/** The first images by name after a name. */
class Window {
  readonly #startAfter: string
  readonly #limit: number
  #images = new Map<string, Set<string>>()
  /** Names after this one are not of the window. */
  #last: string | undefined

  constructor(startAfter: string, limit: number) {
    this.#startAfter = startAfter
    this.#limit = limit
  }

  get images(): readonly ListedImage[] {
    this.#cut()
    return [...this.#images].map(([name, tags]) => ({ name, tags: [...tags].toSorted(byBytes) }))
  }

  add(image: string, tag: string): void {
    if (!this.#has(image)) return
    const tags = this.#images.get(image)
    if (tags) {
      tags.add(tag)
      return
    }
    this.#images.set(image, new Set([tag]))
    if (this.#limit > 0 && this.#images.size >= 2 * this.#limit) this.#cut()
  }

  /**
   * True when no later key can be of the window. In key order, `app/` follows `app-1/` and the tags
   * of `app` may follow those of `app/web`: a name may come after another that it begins.
   */
  isPast(image: string): boolean {
    if (this.#last === undefined && this.#images.size === this.#limit && this.#limit > 0)
      this.#cut()
    if (this.#last === undefined || byBytes(image, this.#last) <= 0) return false
    for (let i = 1; i < image.length; i++) {
      if ((image[i] ?? '') <= '/' && this.#has(image.slice(0, i))) return false
    }
    return true
  }

  #has(image: string): boolean {
    if (image === '' || byBytes(image, this.#startAfter) <= 0) return false
    return this.#last === undefined || byBytes(image, this.#last) <= 0
  }

  /** Sorts the names, and leaves what is beyond the window. */
  #cut(): void {
    const sorted = [...this.#images].toSorted(([a], [b]) => byBytes(a, b))
    const kept = this.#limit > 0 ? sorted.slice(0, this.#limit) : sorted
    this.#images = new Map(kept)
    if (kept.length === this.#limit) this.#last = kept.at(-1)?.[0]
  }
}

/** Go's order: by UTF-8 bytes, which differs from UTF-16 beyond the basic plane. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
