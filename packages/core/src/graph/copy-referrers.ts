import { Readable } from 'node:stream'
import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget } from '../contract/image-target.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { successors } from '../oci/document.ts'
import { ImageStore } from '../store/image-store.ts'
import { copyGraph } from './copy-graph.ts'
import { extendTag, isProtected } from './protected-tag.ts'
import { planGraph } from './plan.ts'
import { tellLayers } from './tell-layers.ts'
import { presentRoot } from './present.ts'
import {
  endlessList,
  type FindReferrersOptions,
  type Referrer,
  ReferrerFinder,
  withWayOut,
} from './referrers.ts'

/** A source and what the image is called in it. */
interface RepositoryOf<T> {
  readonly end: T
  readonly repository: string
}

/** A signature of a signature of an SBOM is three deep; more is an attack. */
const MAX_DEPTH = 8
/** What refers to one image, all told. */
const MAX_REFERRERS = 10_000
const SUBJECTS_AT_ONCE = 8

export interface CopyReferrersOptions extends FindReferrersOptions {
  /** Only counts them. */
  readonly dryRun?: boolean | undefined
}

/**
 * Copies what refers to the manifests, and what refers to that, each once, and returns how many
 * there are. What has no subject of its own is found and copied by cosign's tags. Throws
 * `INTEGRITY` where there is no end to them.
 */
export async function copyReferrers(
  from: RepositoryOf<ImageSource>,
  to: RepositoryOf<ImageTarget>,
  subjects: readonly Descriptor[],
  options: CopyReferrersOptions = {},
): Promise<number> {
  const finder = new ReferrerFinder(from.end, from.repository, options)
  const images = new Set(subjects.map(({ digest }) => digest))
  const visited = new Set(images)
  const seen = new Set<string>()
  let copied = 0
  let level = subjects
  for (let depth = 1; level.length > 0; depth++) {
    const next: Descriptor[] = []
    const follow = async (subject: Descriptor, signal: AbortSignal): Promise<void> => {
      for await (const referrer of finder.find(subject, signal)) {
        const { tag, descriptor } = referrer
        const name = tag ?? `${descriptor.digest} ${subject.digest}`
        // A registry may give the whole image for a tag that is none.
        if (seen.has(name) || (tag !== undefined && images.has(descriptor.digest))) continue
        if (depth > MAX_DEPTH || seen.size >= MAX_REFERRERS) throw endlessList(subject)
        seen.add(name)
        if (!(await copyOne(from.end, to, referrer, { ...options, signal }))) continue
        copied++
        if (visited.has(descriptor.digest)) continue
        visited.add(descriptor.digest)
        next.push(descriptor)
      }
    }
    await forEachConcurrent(level, SUBJECTS_AT_ONCE, follow, options.signal)
    level = next
  }
  finder.close()
  return copied
}

/** False for one that the target cannot hold. */
async function copyOne(
  source: ImageSource,
  to: RepositoryOf<ImageTarget>,
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
  to: RepositoryOf<ImageTarget>,
  referrer: Referrer,
  options: CopyReferrersOptions,
): Promise<boolean> {
  if (referrer.tag !== undefined) {
    return copyTagged(source, to, { ...referrer, tag: referrer.tag }, options)
  }
  const { descriptor, manifest, subject } = referrer
  const { signal, onProgress } = options
  const { end: target } = to
  if (manifest.kind === 'index') {
    if (target instanceof ImageStore) {
      await attachIndex(source, target, referrer, { signal, onProgress })
      return true
    }
    await copyGraph(source, target, await planGraph(source, referrer, { signal }), { signal })
  }
  const digests = [descriptor, ...successors(manifest)].map(({ digest }) => digest)
  await target.protect?.(digests, { signal })
  await target.attach?.(referrer, subject, (blob) => source.fetch(blob, { signal }), { signal })
  return true
}

/** A store keeps all that is below a referrer with it, where no other program collects it. */
async function attachIndex(
  source: ImageSource,
  target: ImageStore,
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
  await target.attach(referrer, referrer.subject, open, { parts, signal })
}

/**
 * A publication of its own: publishing gives up what it protects, and the image around it and other
 * tags beside it are not published yet.
 */
async function copyTagged(
  source: ImageSource,
  to: RepositoryOf<ImageTarget>,
  referrer: Referrer & { readonly tag: string },
  options: CopyReferrersOptions,
): Promise<boolean> {
  const { onProgress } = options
  const begun = to.end.begin?.({ onProgress, purpose: `copy of ${to.repository}:${referrer.tag}` })
  try {
    return await publishTagged(source, { ...to, end: begun ?? to.end }, referrer, options)
  } finally {
    await begun?.close?.()
  }
}

/** Its blobs are of no count beside those of the image: only notices are passed on. */
async function publishTagged(
  source: ImageSource,
  { end: target, repository }: RepositoryOf<ImageTarget>,
  referrer: Referrer & { readonly tag: string },
  { signal, onProgress }: CopyReferrersOptions,
): Promise<boolean> {
  const { descriptor, tag } = referrer
  const place = { name: repository, tag }
  const present = await presentRoot(target, place, { signal })
  if (present?.digest === descriptor.digest) return true
  if (target instanceof ImageStore && (await isProtected(target, repository, { signal }))) {
    return extendTag(source, target, { document: referrer, place }, { signal, onProgress })
  }
  await copyGraph(source, target, await planGraph(source, referrer, { signal }), { signal })
  if (present) {
    const message = `${tag} in ${target.name} was replaced: it was ${present.digest}`
    onProgress?.({ type: 'notice', code: 'signatures-replaced', message })
  }
  await target.tag(referrer, place, { signal, onProgress })
  return true
}
