import { isImmutable } from '../config/effective-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, Publication, TagOptions } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isStore, type StoreFacts } from '../contract/store-facts.ts'
import { isS3loError } from '../errors.ts'
import { type ManifestDocument, parseManifest } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import { readTagContent, type TagContent } from '../store/manifests.ts'
import { copyGraph } from './copy-graph.ts'
import { identity } from './copy-signatures.ts'
import { planGraph } from './plan.ts'

/** The target where it is a store whose signatures are as immutable as the images they are about. */
export async function protectingStore(
  target: ImageTarget,
  image: string,
  { signal }: CallOptions,
): Promise<StoreFacts | undefined> {
  if (!isStore(target)) return undefined
  return isImmutable(await target.config({ signal }), image) ? target : undefined
}

/** A tag of cosign, and what it is about to stand for. */
interface NewTag {
  readonly document: ManifestDocument
  readonly place: Reference
}

/**
 * Publishes a signature tag of an immutable image: where there is none, or where it begins with all
 * that is there, since signatures are added in the course of time. Otherwise it stays as it is, with
 * a notice. True when it was published.
 */
export async function extendTag(
  source: ImageSource,
  publication: Publication,
  store: StoreFacts,
  { document, place }: NewTag,
  { signal, onProgress }: CallOptions & ProgressOptions,
): Promise<boolean> {
  const present = await readTagContent(store.backend, place, { signal })
  if (!present || isExtension(present.content, document.content)) {
    const plan = await planGraph(source, document, { signal })
    await copyGraph(source, publication, plan, { signal })
    const options = { ...guard(present), children: plan.documents, signal, onProgress }
    if (await publish(publication, { document, place }, options)) return true
  }
  const name = formatImageName(place)
  const message = `${name} in ${store.name} stays as it is: the image is immutable, and the source's would take away what is there`
  onProgress?.({ type: 'notice', code: 'signatures-kept', message })
  return false
}

function guard(present: TagContent | undefined): TagOptions {
  return present ? { replaces: present.etag } : { createOnly: true }
}

/** False when another writer came first. */
async function publish(
  publication: Publication,
  { document, place }: NewTag,
  options: TagOptions,
): Promise<boolean> {
  try {
    await publication.tag(document, place, options)
    return true
  } catch (error) {
    if (isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}

/** True when the new manifest has every layer of the present one, annotations included, before any other. */
function isExtension(present: Uint8Array, next: Uint8Array): boolean {
  const [before, after] = [layersOf(present), layersOf(next)]
  return before !== undefined && before.every((layer, i) => layer === after?.[i])
}

/** `undefined` for what has no layers. */
function layersOf(content: Uint8Array): readonly string[] | undefined {
  try {
    const manifest = parseManifest(content, 'of signatures')
    return manifest.kind === 'manifest' ? manifest.layers.map(identity) : undefined
  } catch {
    return undefined // What cannot be read is kept as well: it may be mended, and it is not ours to lose.
  }
}
