import type { CallOptions } from '../contract/call-options.ts'
import {
  holdsSignatures,
  signedDigestOf,
  SIGNATURES_TYPE,
  unfoldSignatures,
} from '../oci/cosign-signatures.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type ManifestDocument, MAX_MANIFEST_BYTES, toDocument } from '../oci/document.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { isS3loError } from '../errors.ts'
import { orImageFault } from './image-fault.ts'
import type { ImageStore } from './image-store.ts'
import { readTagManifest } from './manifests.ts'
import { readRecord } from './records.ts'

/** How many signatures of one manifest are looked at: anybody who can push may add some. */
const MAX_SIGNATURES = 200

/**
 * What the tag of cosign's signatures would name: those that refer to the manifest in the repository
 * and those that the tag has, as one manifest. `undefined` for another tag, where nothing refers to
 * the manifest, and where the tag has something else than signatures.
 */
export async function readSignatureTag(
  store: ImageStore,
  reference: Reference,
  options: CallOptions = {},
): Promise<ManifestDocument | undefined> {
  const { name: repository, tag = '' } = reference
  const digest = signedDigestOf(tag)
  if (digest === undefined) return undefined
  const subject = { mediaType: MEDIA_TYPE.octetStream, digest, size: 0 }
  const union = new SignatureUnion()
  let looked = 0
  for await (const referrer of store.referrers(repository, subject, options)) {
    if (referrer.artifactType !== SIGNATURES_TYPE) continue
    if (++looked > MAX_SIGNATURES) break
    // One that is damaged says nothing about the others.
    const read = await orImageFault(() =>
      readRecord(store.backend, repository, referrer.digest, options),
    )
    const found = read && !isS3loError(read) ? unfoldSignatures(read) : undefined
    if (!found) continue
    if (!union.document) {
      const tagged = await readTagManifest(store.backend, reference, options)
      if (tagged && !holdsSignatures(tagged.manifest)) return undefined
      union.add(tagged)
    }
    union.add(found)
  }
  return union.document
}

/** Signatures of several manifests. */
class SignatureUnion {
  readonly #layers = new Map<string, Descriptor>()
  /** Has all of them and no other, if there is one. */
  #whole: ManifestDocument | undefined
  #config: Descriptor | undefined
  #bytes = 0

  get document(): ManifestDocument | undefined {
    if (this.#whole || !this.#config) return this.#whole
    const mediaType = MEDIA_TYPE.ociManifest
    // The config of a signature says nothing, and this one is in the store.
    const members = { config: this.#config, layers: [...this.#layers.values()] }
    const manifest = { schemaVersion: 2, mediaType, ...members }
    return toDocument(Buffer.from(JSON.stringify(manifest)), mediaType)
  }

  add(document: ManifestDocument | undefined): void {
    if (document?.manifest.kind !== 'manifest') return
    const { config, layers } = document.manifest
    const before = this.#layers.size
    const own = new Map(layers.map((layer) => [JSON.stringify(layer), layer]))
    for (const [name, layer] of own) {
      this.#bytes += this.#layers.has(name) ? 0 : name.length
      if (this.#bytes > MAX_MANIFEST_BYTES / 2) return
      this.#layers.set(name, layer)
    }
    if (own.size === this.#layers.size) this.#whole = document
    else if (this.#layers.size > before) this.#whole = undefined
    this.#config ??= config
  }
}
