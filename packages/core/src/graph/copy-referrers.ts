import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ImageSource } from '../contract/image-source.ts'
import type { ImageTarget } from '../contract/image-target.ts'
import type { ProgressOptions } from '../contract/progress.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { successors } from '../oci/document.ts'
import { ImageStore } from '../store/image-store.ts'
import { copyGraph } from './copy-graph.ts'
import { planGraph } from './plan.ts'
import { type Referrer, ReferrerFinder } from './referrers.ts'
import { presentRoot } from './present.ts'

/** A source and what the image is called in it. */
interface RepositoryOf<T> {
  readonly end: T
  readonly repository: string
}

/** A signature of a signature of an SBOM is three deep; more is somebody's game. */
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
  from: RepositoryOf<ImageSource>,
  to: RepositoryOf<ImageTarget>,
  subjects: readonly Descriptor[],
  options: CopyReferrersOptions = {},
): Promise<number> {
  const finder = new ReferrerFinder(from.end, from.repository, options)
  const visited = new Set(subjects.map(({ digest }) => digest))
  const seen = new Set<string>()
  let copied = 0
  let level = subjects
  for (let depth = 1; level.length > 0; depth++) {
    const next: Descriptor[] = []
    await forEachConcurrent(
      level,
      SUBJECTS_AT_ONCE,
      async (subject, signal) => {
        for await (const referrer of finder.find(subject, signal)) {
          const { descriptor } = referrer.document
          const name = referrer.tag ?? `${descriptor.digest} ${subject.digest}`
          if (seen.has(name)) continue
          if (depth > MAX_DEPTH || seen.size >= MAX_REFERRERS) throw endless(subject)
          seen.add(name)
          const call = { ...options, signal }
          if (options.dryRun || (await copyOne(from.end, to, referrer, call))) copied++
          else continue
          if (visited.has(descriptor.digest)) continue
          visited.add(descriptor.digest)
          next.push(descriptor)
        }
      },
      options.signal,
    )
    level = next
  }
  return copied
}

/** False for one that the target cannot hold. */
async function copyOne(
  source: ImageSource,
  to: RepositoryOf<ImageTarget>,
  referrer: Referrer,
  options: CopyReferrersOptions,
): Promise<boolean> {
  if (referrer.tag !== undefined) {
    await copyTagged(source, to, { ...referrer, tag: referrer.tag }, options)
    return true
  }
  const { document, manifest, subject } = referrer
  const { signal, onProgress } = options
  const { end: target } = to
  if (manifest.kind === 'index') {
    if (target instanceof ImageStore) {
      const message = `${document.descriptor.digest} stays behind: a store keeps no index that refers to another manifest`
      onProgress?.({ type: 'notice', code: 'referrer-left', message })
      return false
    }
    await copyGraph(source, target, await planGraph(source, document, { signal }), { signal })
  }
  const digests = [document.descriptor, ...successors(manifest)].map(({ digest }) => digest)
  await target.protect?.(digests, { signal })
  await target.attach?.(document, subject, (blob) => source.fetch(blob, { signal }), { signal })
  return true
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
): Promise<void> {
  const begun = to.end.begin?.()
  try {
    await publishTagged(source, { ...to, end: begun ?? to.end }, referrer, options)
  } finally {
    await begun?.close?.()
  }
}

/** Its blobs are of no count beside those of the image: only notices are passed on. */
async function publishTagged(
  source: ImageSource,
  { end: target, repository }: RepositoryOf<ImageTarget>,
  { document, tag }: Referrer & { readonly tag: string },
  { signal, onProgress }: CopyReferrersOptions,
): Promise<void> {
  const place = { name: repository, tag }
  const present = await presentRoot(target, place, { signal })
  if (present?.digest === document.descriptor.digest) return
  await copyGraph(source, target, await planGraph(source, document, { signal }), { signal })
  if (present) {
    const message = `${tag} in ${target.name} was replaced: it was ${present.digest}`
    onProgress?.({ type: 'notice', code: 'signatures-replaced', message })
  }
  await target.tag(document, place, { signal, onProgress })
}

function endless({ digest }: Descriptor): S3loError {
  return new S3loError('INTEGRITY', `there is no end to what refers to ${digest}`, {
    hint: 'pass --referrers none to copy the image alone',
  })
}
