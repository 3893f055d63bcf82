import { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget, Publication } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { isStore } from '../contract/store-facts.ts'
import { foldSignatures, signatureTagOf } from '../oci/cosign-signatures.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { successors } from '../oci/document.ts'
import { copyGraph } from './copy-graph.ts'
import { TaggedSignatures } from './copy-signatures.ts'
import { extendTag, protectingStore } from './protected-tag.ts'
import { planGraph } from './plan.ts'
import { tellLayers } from './tell-layers.ts'
import { resolveIn } from './present.ts'
import { withPublication } from './with-publication.ts'
import { endlessList, type Referrer, type ReferrerFinder, withWayOut } from './referrers.ts'

/** Where referrers are read, and what finds those of the image there; it may have begun. */
export interface ReferrersSource {
  readonly source: ImageSource
  readonly finder: ReferrerFinder
}

/** Where referrers go: into the image's publication, and those with a tag into one of their own. */
export interface ReferrersTarget {
  readonly target: ImageTarget
  readonly publication: Publication
  readonly repository: string
}

/** A signature of a signature of an SBOM is three deep; more is an attack. */
const MAX_DEPTH = 8
/** What refers to one image, all told. */
const MAX_REFERRERS = 10_000
const SUBJECTS_AT_ONCE = 8

export interface CopyReferrersOptions extends CallOptions, ProgressOptions {
  /** Only counts them. */
  readonly dryRun?: boolean | undefined
}

/**
 * Copies what refers to the manifests, and what refers to that, each once, and returns how many
 * there are. What has no subject of its own is found and copied by cosign's tags. Throws
 * `INTEGRITY` where there is no end to them.
 */
export async function copyReferrers(
  { source, finder }: ReferrersSource,
  to: ReferrersTarget,
  subjects: readonly Descriptor[],
  options: CopyReferrersOptions = {},
): Promise<number> {
  const images = new Set(subjects.map(({ digest }) => digest))
  const visited = new Set(images)
  const seen = new Set<string>()
  /** What another manifest is in the target: a `.sig` tag refers there, and the other way round. */
  const renamed = new Map<string, Descriptor>()
  let copied = 0
  let level = subjects
  for (let depth = 1; level.length > 0; depth++) {
    const next: Descriptor[] = []
    const follow = async (subject: Descriptor, signal: AbortSignal): Promise<void> => {
      const call = { ...options, signal }
      const there = renamed.get(subject.digest) ?? subject
      const signatures = new TaggedSignatures(source, to, there)
      const taken: Descriptor[] = []
      for await (const referrer of finder.find(subject, signal)) {
        const { tag, descriptor } = referrer
        const name = tag ?? `${descriptor.digest} ${subject.digest}`
        // A registry may give the whole image for a tag that is none.
        if (seen.has(name) || (tag !== undefined && images.has(descriptor.digest))) continue
        if (depth > MAX_DEPTH || seen.size >= MAX_REFERRERS) throw endlessList(subject)
        seen.add(name)
        const folded = tag === undefined ? undefined : foldInto(to.target, referrer, there)
        if (folded) renamed.set(descriptor.digest, folded.descriptor)
        if (signatures.take(referrer)) taken.push(descriptor)
        else if (!(await copyOne(source, to, folded ?? referrer, call))) continue
        copied++
        if (visited.has(descriptor.digest)) continue
        visited.add(descriptor.digest)
        next.push(descriptor)
      }
      const published = options.dryRun ? undefined : await publishTaken(signatures, call)
      if (published) for (const { digest } of taken) renamed.set(digest, published)
    }
    await forEachConcurrent(level, SUBJECTS_AT_ONCE, follow, options.signal)
    level = next
  }
  finder.close()
  return copied
}

/** Signatures with a tag as a referrer, where they go into a store: no program counts them as an image there. */
function foldInto(
  target: ImageTarget,
  referrer: Referrer,
  subject: Descriptor,
): Referrer | undefined {
  if (!isStore(target) || referrer.tag !== signatureTagOf(referrer.subject.digest)) return undefined
  const folded = foldSignatures(referrer, subject)
  return folded && { ...folded, subject }
}

async function publishTaken(
  signatures: TaggedSignatures,
  options: CopyReferrersOptions,
): Promise<Descriptor | undefined> {
  try {
    return await signatures.publish(options)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw withWayOut(error)
  }
}

/** False for one that the target cannot hold. */
async function copyOne(
  source: ImageSource,
  to: ReferrersTarget,
  referrer: Referrer,
  options: CopyReferrersOptions,
): Promise<boolean> {
  if (options.dryRun) return true
  try {
    return await writeOne(source, to, referrer, options)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw withWayOut(error)
  }
}

async function writeOne(
  source: ImageSource,
  to: ReferrersTarget,
  referrer: Referrer,
  options: CopyReferrersOptions,
): Promise<boolean> {
  if (referrer.tag !== undefined) {
    return copyTagged(source, to, { ...referrer, tag: referrer.tag }, options)
  }
  const { descriptor, manifest, subject } = referrer
  const { signal, onProgress } = options
  const { target, publication, repository } = to
  if (manifest.kind === 'index') {
    if (target.takesIndexReferrers) {
      await attachIndex(source, to, referrer, { signal, onProgress })
      return true
    }
    await copyGraph(source, publication, await planGraph(source, referrer, { signal }), { signal })
  }
  const digests = [descriptor, ...successors(manifest)].map(({ digest }) => digest)
  await publication.protect?.(digests, { signal })
  const open = (blob: Descriptor): Promise<Readable> => source.fetch(blob, { signal })
  await publication.attach?.(referrer, { repository, subject }, open, { signal })
  return true
}

/** A store keeps all that is below a referrer with it, where no other program collects it. */
async function attachIndex(
  source: ImageSource,
  { publication, repository }: ReferrersTarget,
  referrer: Referrer,
  { signal, onProgress }: CopyReferrersOptions,
): Promise<void> {
  const plan = await planGraph(source, referrer, { signal })
  tellLayers(plan, { onProgress })
  const documents = new Map(plan.documents.map((child) => [child.descriptor.digest, child]))
  const parts = [...plan.blobs, ...plan.documents].map(({ descriptor }) => descriptor)
  const open = async (part: Descriptor): Promise<Readable> => {
    const child = documents.get(part.digest)
    return child ? Readable.from([child.content]) : source.fetch(part, { signal })
  }
  const place = { repository, subject: referrer.subject }
  await publication.attach?.(referrer, place, open, { parts, signal })
}

/**
 * A publication of its own: publishing gives up what it protects, and the image around it and other
 * tags beside it are not published yet.
 */
function copyTagged(
  source: ImageSource,
  to: ReferrersTarget,
  referrer: Referrer & { readonly tag: string },
  options: CopyReferrersOptions,
): Promise<boolean> {
  const { onProgress } = options
  const purpose = `copy of ${to.repository}:${referrer.tag}`
  return withPublication(to.target, { onProgress, purpose }, (publication) =>
    publishTagged(source, { ...to, publication }, referrer, options),
  )
}

/** Its blobs are of no count beside those of the image: only notices are passed on. */
async function publishTagged(
  source: ImageSource,
  { target, publication, repository }: ReferrersTarget,
  referrer: Referrer & { readonly tag: string },
  { signal, onProgress }: CopyReferrersOptions,
): Promise<boolean> {
  const { descriptor, tag } = referrer
  const place = { name: repository, tag }
  const present = await resolveIn(target, place, { signal })
  if (present?.digest === descriptor.digest) return true
  const store = await protectingStore(target, repository, { signal })
  if (store) {
    const newTag = { document: referrer, place }
    return extendTag(source, publication, store, newTag, { signal, onProgress })
  }
  const plan = await planGraph(source, referrer, { signal })
  await copyGraph(source, publication, plan, { signal })
  if (present) {
    const message = `${tag} in ${target.name} was replaced: it was ${present.digest}`
    onProgress?.({ type: 'notice', code: 'signatures-replaced', message })
  }
  await publication.tag(referrer, place, { children: plan.documents, signal, onProgress })
  return true
}
