import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isS3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { fallbackTagsOf } from '../oci/fallback-tag.ts'
import { ImageStore } from '../store/image-store.ts'
import { type ReadManifest, readManifest } from './read-manifest.ts'

/** A manifest that refers to another one. */
export interface Referrer extends ReadManifest {
  readonly subject: Descriptor
  /** cosign's tag (`sha256-<hex>.sig`) where that alone tells what it refers to. */
  readonly tag?: string
}

/** Finds what refers to the manifests of one repository: by the referrers API, and by cosign's tags. */
export class ReferrerFinder {
  readonly #source: ImageSource
  readonly #repository: string
  readonly #options: CallOptions & ProgressOptions
  #storeTags: Promise<ReadonlySet<string>> | undefined

  constructor(source: ImageSource, repository: string, options: CallOptions & ProgressOptions) {
    this.#source = source
    this.#repository = repository
    this.#options = options
  }

  /** Those of one manifest. One that is listed and not there is left out, with a notice. */
  async *find(subject: Descriptor, signal?: AbortSignal): AsyncGenerator<Referrer, void> {
    const call = { signal: signal ?? this.#options.signal }
    for await (const descriptor of this.#source.referrers?.(subject, call) ?? []) {
      const read = await this.#read(descriptor, subject, call)
      if (read) yield { ...read, subject }
    }
    // What has no tags, such as an archive of one image, may take any for that image's.
    const tags = this.#source.tags ? fallbackTagsOf(subject.digest) : []
    const found = await Promise.all(tags.map((tag) => this.#resolve(tag, call)))
    for (const [i, descriptor] of found.entries()) {
      const read = descriptor && (await this.#read(descriptor, subject, call))
      if (read) yield { ...read, subject, tag: tags[i] ?? '' }
    }
  }

  async #read(
    descriptor: Descriptor,
    subject: Descriptor,
    call: CallOptions,
  ): Promise<ReadManifest | undefined> {
    try {
      return await readManifest(this.#source, descriptor, call)
    } catch (error) {
      // Registries keep listing what was deleted.
      if (!isS3loError(error, 'NOT_FOUND')) throw error
      const message = `${descriptor.digest}, which is said to refer to ${subject.digest}, is missing`
      this.#options.onProgress?.({ type: 'notice', code: 'referrer-missing', message })
      return undefined
    }
  }

  async #resolve(tag: string, call: CallOptions): Promise<Descriptor | undefined> {
    if (this.#source instanceof ImageStore) {
      this.#storeTags ??= listStoreTags(this.#source, this.#repository, this.#options)
      if (!(await this.#storeTags).has(tag)) return undefined
    }
    try {
      return await this.#source.resolve({ name: this.#repository, tag }, call)
    } catch (error) {
      if (isS3loError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }
}

/** A store is asked once, for all of them: there, each question would be two requests. */
async function listStoreTags(
  store: ImageStore,
  image: string,
  { signal }: CallOptions,
): Promise<ReadonlySet<string>> {
  const tags = new Set<string>()
  for await (const tag of store.fallbackTags(image, { signal })) tags.add(tag)
  return tags
}
