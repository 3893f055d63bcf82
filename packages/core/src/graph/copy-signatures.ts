import { Readable } from 'node:stream'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, Publication } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isStore } from '../contract/store-facts.ts'
import {
  holdsSignatures,
  signatureManifest,
  signatureTagOf,
  unfoldSignatures,
} from '../oci/cosign-signatures.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES } from '../oci/document.ts'
import { copyGraph } from './copy-graph.ts'
import { planGraph } from './plan.ts'
import { asSource, whereReadable } from './present.ts'
import { readManifest } from './read-manifest.ts'
import { endlessList, type Referrer } from './referrers.ts'
import { withPublication } from './with-publication.ts'

/** Where signatures get cosign's tag. */
interface SignaturesTarget {
  readonly target: ImageTarget
  readonly repository: string
}

/**
 * Signatures of one manifest that a store keeps as referrers, on their way to where cosign 2 looks for
 * them: they become one tag, which has those of the target, too.
 */
export class TaggedSignatures {
  readonly #source: ImageSource
  readonly #to: SignaturesTarget
  readonly #subject: Descriptor
  readonly #layers = new Map<string, Descriptor>()
  /** Has all layers and no other, if there is one. */
  #document: ManifestDocument | undefined
  #bytes = 0

  constructor(source: ImageSource, to: SignaturesTarget, subject: Descriptor) {
    this.#source = source
    this.#to = to
    this.#subject = subject
  }

  /** True for one that was taken. What has a tag already is taken beside others. */
  take(referrer: Referrer): boolean {
    const tag = signatureTagOf(this.#subject.digest)
    if (tag === undefined || isStore(this.#to.target)) return false
    const isBeside = referrer.tag === tag && this.#layers.size > 0
    return this.#add(isBeside ? referrer : unfoldSignatures(referrer))
  }

  /** The manifest that the tag names then; `undefined` where none was taken. */
  async publish(options: CallOptions & ProgressOptions): Promise<Descriptor | undefined> {
    if (this.#layers.size === 0) return undefined
    const { target, repository } = this.#to
    const tag = signatureTagOf(this.#subject.digest) ?? ''
    const place = { name: repository, tag }
    const present = await this.#present(tag, options)
    const isKept = this.#add(present)
    const made = this.#document ?? signatureManifest([...this.#layers.values()])
    const { document, config } = 'document' in made ? made : { document: made, config: undefined }
    if (document.descriptor.digest === present?.descriptor.digest) return present.descriptor
    const { signal, onProgress } = options
    const purpose = `copy of ${repository}:${tag}`
    await withPublication(target, { onProgress, purpose }, async (publication: Publication) => {
      const source = withConfig(this.#source, document, config)
      await copyGraph(source, publication, await planGraph(source, document, { signal }), {
        signal,
      })
      await publication.tag(document, place, { signal, onProgress })
    })
    if (present && !isKept) {
      const message = `${tag} in ${target.name} was replaced, which held no signatures: it was ${present.descriptor.digest}`
      onProgress?.({ type: 'notice', code: 'signatures-replaced', message })
    }
    return document.descriptor
  }

  /** False for what holds no signatures. */
  #add(document: ManifestDocument | undefined): boolean {
    if (!document || !holdsSignatures(document.manifest)) return false
    const before = this.#layers.size
    const own = new Map(document.manifest.layers.map((layer) => [identity(layer), layer]))
    for (const [name, layer] of own) {
      if (this.#layers.has(name)) continue
      this.#layers.set(name, layer)
      this.#bytes += name.length
      if (this.#bytes > MAX_MANIFEST_BYTES / 2) throw endlessList(this.#subject)
    }
    if (own.size === this.#layers.size) this.#document = document
    else if (this.#layers.size > before) this.#document = undefined
    return true
  }

  async #present(tag: string, options: CallOptions): Promise<ManifestDocument | undefined> {
    const { target, repository } = this.#to
    const source = asSource(target)
    if (!source) return undefined
    return whereReadable(async () => {
      const found = await source.resolve({ name: repository, tag }, options)
      return readManifest(source, found, options)
    })
  }
}

/** What tells two signatures apart. */
export function identity({ mediaType, digest, size, annotations = {} }: Descriptor): string {
  const entries = Object.entries(annotations).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([mediaType, digest, size, entries])
}

function withConfig(
  source: ImageSource,
  { manifest }: ManifestDocument,
  config: Uint8Array | undefined,
): ImageSource {
  if (!config || manifest.kind !== 'manifest') return source
  const { digest } = manifest.config
  return {
    kind: 'random-access',
    name: source.name,
    resolve: (reference, options) => source.resolve(reference, options),
    fetch: async (descriptor, options) =>
      descriptor.digest === digest ? Readable.from([config]) : source.fetch(descriptor, options),
  }
}
