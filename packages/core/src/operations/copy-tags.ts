import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import { isWellFormed, matchesGlob } from '../config/glob.ts'
import type { ImageSource } from '../contract/image-source.ts'
import { type ErrorCode, isS3loError, S3loError } from '../errors.ts'
import { resolveIn } from '../graph/present.ts'
import type { SourceEnd, TargetEnd } from '../graph/transfer-request.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { isReferrerTag } from '../oci/referrer-tag.ts'
import { isImageFault } from '../store/image-fault.ts'
import { copy, type CopyOptions, type CopyResult, syncReferrers } from './copy.ts'

export interface CopyTagsOptions extends CopyOptions {
  /** Called for each tag as soon as it is done. */
  readonly onTag?: ((tag: CopiedTag) => void) | undefined
}

/** One tag of a copy of several; field names are those of `--output json`. */
export interface CopiedTag {
  readonly tag: string
  /** `unchanged`: the destination has the same digest. `left`: given up, because an earlier one failed. */
  readonly action: 'copy' | 'replace' | 'unchanged' | 'failed' | 'left'
  /** Of the source. */
  readonly digest?: string
  /** Of the destination before. */
  readonly previous_digest?: string
  /** What was moved; not in a dry run, which does not look into the images. */
  readonly copied?: CopyResult
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string }
}

/** What a copy of several tags did, or in a dry run would do; field names are those of `--output json`. */
export interface CopyTagsResult {
  readonly tags: readonly CopiedTag[]
  readonly tags_copied: number
  readonly tags_unchanged: number
  readonly tags_failed: number
  readonly blobs_copied: number
  readonly blobs_skipped: number
  readonly bytes_copied: number
  readonly referrers_copied: number
  /** There and true when nothing was written. */
  readonly dry_run?: true
}

const LOOKUPS_AT_ONCE = 10

/** What is wrong with one tag while both ends answer: the others can still be copied. */
const TAG_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'INTEGRITY',
  'UNSUPPORTED',
  'CONFLICT',
  'INVALID_REFERENCE',
])

function isTagFault({ code, contentFault }: S3loError): boolean {
  return contentFault || TAG_FAULTS.has(code)
}

/**
 * Copies the tags of an image that a glob selects, one after the other, each under its own name. A
 * tag that fails does not stop the others, unless an end itself fails. What refers to images is
 * copied with them, not as tags. Throws `NOT_FOUND` where no tag matches, `UNSUPPORTED` for an end
 * that has no tags.
 */
export async function copyTags(
  from: SourceEnd,
  to: TargetEnd,
  pattern: string,
  options: CopyTagsOptions = {},
): Promise<CopyTagsResult> {
  const source = assertSeveral(from, to)
  const names = await matchingTags(source, from.reference.name, pattern, options)
  const planned = await planTags(source, names, from, to, options)
  const tags: CopiedTag[] = []
  let isStopped = false
  for (const tag of planned) {
    const result: DoneTag = isStopped ? left(tag) : await copyTag(tag, from, to, options)
    const { fault, ...done } = result
    // What could not even be looked up has touched nothing.
    isStopped ||= tag.root !== undefined && fault !== undefined && !isTagFault(fault)
    tags.push(done)
    options.onTag?.(done)
  }
  return summarise(tags, options)
}

function assertSeveral({ source }: SourceEnd, { target }: TargetEnd): ImageSource {
  if (source.kind === 'streaming' || !source.tags) {
    throw new S3loError('UNSUPPORTED', `${source.name} does not list its tags`, {
      hint: 'copy them one by one',
    })
  }
  if (target.kind === 'streaming') {
    throw new S3loError('UNSUPPORTED', `${target.name} takes one image at a time`, {
      hint: 'copy the tags one by one, or to an oci: layout',
    })
  }
  return source
}

async function matchingTags(
  source: ImageSource,
  repository: string,
  pattern: string,
  { signal }: CopyTagsOptions,
): Promise<readonly string[]> {
  if (!isWellFormed(pattern)) {
    throw new S3loError('USAGE', `${JSON.stringify(pattern)} is not a pattern of tags`, {
      hint: '* matches any characters, ? one, [abc] one of them',
    })
  }
  const names = new Set<string>()
  for await (const tag of source.tags?.(repository, { signal }) ?? []) {
    if (!isReferrerTag(tag) && matchesGlob(pattern, tag)) names.add(tag)
  }
  if (names.size > 0) return [...names].toSorted()
  throw new S3loError('NOT_FOUND', `${source.name} has no tag of ${repository} like ${pattern}`)
}

/** A tag whose digests on both sides are known; `error`: the source's is not. */
interface PlannedTag {
  readonly tag: string
  readonly root?: Descriptor
  readonly present?: Descriptor
  readonly error?: S3loError
}

async function planTags(
  source: ImageSource,
  names: readonly string[],
  from: SourceEnd,
  to: TargetEnd,
  { signal: outer }: CopyTagsOptions,
): Promise<readonly PlannedTag[]> {
  const planned: PlannedTag[] = []
  await forEachConcurrent(
    names.entries(),
    LOOKUPS_AT_ONCE,
    async ([i, tag], signal) => {
      try {
        const root = await source.resolve({ name: from.reference.name, tag }, { signal })
        const present = await resolveIn(to.target, { name: to.reference.name, tag }, { signal })
        planned[i] = { tag, root, ...(present ? { present } : {}) }
      } catch (error) {
        // One manifest that may not be read says nothing about the others.
        const isOwn = isImageFault(error) || (isS3loError(error) && isTagFault(error))
        if (!isOwn) throw error
        planned[i] = { tag, error }
      }
    },
    outer,
  )
  const [first] = planned
  const isRefused = planned.every(({ error }) => error?.code === 'FORBIDDEN')
  if (first?.error && isRefused) throw first.error
  return planned
}

/** A tag that was dealt with, and what made it fail. */
type DoneTag = CopiedTag & { readonly fault?: S3loError }

async function copyTag(
  { tag, root, present, error }: PlannedTag,
  from: SourceEnd,
  to: TargetEnd,
  options: CopyTagsOptions,
): Promise<DoneTag> {
  if (!root)
    return { tag, action: 'failed', ...(error ? { error: describe(error), fault: error } : {}) }
  const isUnchanged = present?.digest === root.digest && !options.platforms?.length
  const facts = {
    tag,
    digest: root.digest,
    ...(present && !isUnchanged ? { previous_digest: present.digest } : {}),
  }
  const action = isUnchanged ? 'unchanged' : present ? 'replace' : 'copy'
  if (options.dryRun) return { ...facts, action }
  const ends = [
    { source: from.source, reference: { name: from.reference.name, tag } },
    { target: to.target, reference: { name: to.reference.name, tag } },
  ] as const
  try {
    // Signatures come later than images: of one that is there already, they are still looked for.
    const copied = isUnchanged
      ? await syncReferrers(...ends, root, options)
      : await copy(...ends, options)
    // Of some platforms, only the copy tells that the destination has the same.
    return copied.digest === present?.digest
      ? { tag, digest: root.digest, action: 'unchanged', copied }
      : { ...facts, action, copied }
  } catch (caught) {
    options.signal?.throwIfAborted()
    if (!isS3loError(caught)) throw caught
    return { ...facts, action: 'failed', error: describe(caught), fault: caught }
  }
}

function left({ tag, root }: PlannedTag): DoneTag {
  return { tag, action: 'left', ...(root ? { digest: root.digest } : {}) }
}

function describe({ code, message, hint }: S3loError): NonNullable<CopiedTag['error']> {
  return { code, message, ...(hint === undefined ? {} : { hint }) }
}

function summarise(
  tags: readonly CopiedTag[],
  { dryRun = false }: CopyTagsOptions,
): CopyTagsResult {
  const count = (...actions: readonly CopiedTag['action'][]): number =>
    tags.filter(({ action }) => actions.includes(action)).length
  const sum = (
    field: 'blobs_copied' | 'blobs_skipped' | 'bytes_copied' | 'referrers_copied',
  ): number => tags.reduce((total, { copied }) => total + (copied?.[field] ?? 0), 0)
  return {
    tags,
    tags_copied: count('copy', 'replace'),
    tags_unchanged: count('unchanged'),
    tags_failed: count('failed', 'left'),
    blobs_copied: sum('blobs_copied'),
    blobs_skipped: sum('blobs_skipped'),
    bytes_copied: sum('bytes_copied'),
    referrers_copied: sum('referrers_copied'),
    ...(dryRun ? { dry_run: true } : {}),
  }
}
