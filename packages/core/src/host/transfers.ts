import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { S3loError } from '../errors.ts'
import type { SourceEnd, TargetEnd } from '../graph/transfer-request.ts'
import { type ImageEnd, parseSourceEnd, parseTaggedEnd, parseTargetEnd } from '../image-end.ts'
import {
  isStoreReference,
  parseExplicitReference,
  parseReadReference,
  type StoreReference,
} from '../layout/store-reference.ts'
import type { CopyOptions, CopyResult } from '../operations/copy.ts'
import type { CopyTagsOptions, CopyTagsResult } from '../operations/copy-tags.ts'
import type { PublishOptions } from '../operations/options.ts'
import type { PullOptions, PullResult } from '../operations/pull.ts'
import type { PushOptions, PushResult } from '../operations/push.ts'
import { markSide } from './failed-side.ts'
import { publishValidation, type ValidationChoice } from './validation.ts'
import type { Opener } from './opener.ts'
import { sourceVerification, type VerificationChoice } from './verification.ts'

/** The transport of a bare name on each side. */
const ENGINE = 'docker-daemon'
const REGISTRY = 'docker'

/** See `Host.push`. */
export async function push(
  opener: Opener,
  image: string,
  destination: string,
  options: PushOptions & ValidationChoice = {},
): Promise<PushResult> {
  refuseDryValidation(options)
  const to = parseExplicitReference(destination)
  const from = parseSourceEnd(image, opener.endSyntax(ENGINE))
  const operation = await import('../operations/push.ts')
  return opener.withSource(from, options, (source) =>
    opener.withStore(to, options, async (store) => {
      const checked = await publishValidation(opener, to, store, options)
      return operation.push(source, markSide(store, 'target'), to, { ...options, ...checked })
    }),
  )
}

/** See `Host.pull`. */
export async function pull(
  opener: Opener,
  reference: string,
  target?: string,
  given: PullOptions & VerificationChoice = {},
): Promise<PullResult> {
  const from = parseReadReference(reference)
  if (target !== undefined && isStoreReference(target)) {
    throw new S3loError('USAGE', `cannot pull to ${target}: it is a store`, {
      hint: `s3lo copy ${reference} ${target}`,
    })
  }
  const to =
    target === undefined
      ? ({ kind: 'transport', transport: ENGINE, text: defaultTarget(from) } as const)
      : parseTargetEnd(target, opener.endSyntax(ENGINE))
  const operation = await import('../operations/pull.ts')
  const end = { kind: 'store', reference: from } as const
  const options = { ...given, ...sourceVerification(opener, end, given) }
  return opener.withImage(from, options, (store, image) =>
    opener.withTarget(to, options, (target) =>
      operation.pull(markSide(store, 'source'), image, target, options),
    ),
  )
}

/** See `Host.copy`. */
export async function copy(
  opener: Opener,
  source: string,
  destination: string,
  given: CopyOptions & ValidationChoice & VerificationChoice = {},
): Promise<CopyResult> {
  const syntax = opener.endSyntax(REGISTRY)
  const from = parseSourceEnd(source, syntax)
  const to = parseTargetEnd(destination, syntax)
  const { sourceEndpoint, destEndpoint } = opener.options
  const options = { ...given, ...sourceVerification(opener, from, given) }
  const operation = await import('../operations/copy.ts')
  return opener.withSource(from, { ...options, endpoint: sourceEndpoint }, (sourceEnd) =>
    opener.withTarget(to, { ...options, endpoint: destEndpoint }, async (targetEnd) => {
      const bothStream =
        sourceEnd.source.kind === 'streaming' && targetEnd.target.kind === 'streaming'
      const checked = { ...options, ...(await validation(opener, to, targetEnd, options)) }
      return bothStream
        ? copyThroughLayout(opener, sourceEnd, targetEnd, checked)
        : operation.copy(sourceEnd, targetEnd, checked)
    }),
  )
}

/** See `Host.copyTags`. */
export async function copyTags(
  opener: Opener,
  source: string,
  destination: string,
  given: CopyTagsOptions & ValidationChoice & VerificationChoice = {},
): Promise<CopyTagsResult> {
  const syntax = opener.endSyntax(REGISTRY)
  const { end: from, tag: pattern = '*' } = parseTaggedEnd(source, syntax)
  const { end: to, tag } = parseTaggedEnd(destination, syntax)
  if (tag !== undefined) {
    throw new S3loError('USAGE', `${destination} names one tag for several`, {
      hint: 'leave the tag out: each tag keeps its name',
    })
  }
  const { sourceEndpoint, destEndpoint } = opener.options
  const options = { ...given, ...sourceVerification(opener, from, given) }
  const operation = await import('../operations/copy-tags.ts')
  return opener.withSource(from, { ...options, endpoint: sourceEndpoint }, (sourceEnd) =>
    opener.withTarget(to, { ...options, endpoint: destEndpoint }, async (targetEnd) => {
      const checked = await validation(opener, to, targetEnd, options)
      return operation.copyTags(sourceEnd, targetEnd, pattern, { ...options, ...checked })
    }),
  )
}

/** Holds what a copy publishes against the policies of its store. */
function validation(
  opener: Opener,
  to: ImageEnd,
  { target }: TargetEnd,
  options: CopyOptions & ValidationChoice,
): Promise<PublishOptions> {
  refuseDryValidation(options)
  return publishValidation(opener, to.kind === 'store' ? to.reference : undefined, target, options)
}

/** Policies judge what is in a store, which a dry run puts nothing into. Throws `USAGE` for both at once. */
function refuseDryValidation({
  validate,
  dryRun,
}: Pick<CopyOptions & ValidationChoice, 'validate' | 'dryRun'>): void {
  if (!validate || !dryRun) return
  throw new S3loError('USAGE', 'a dry run publishes nothing that could be validated', {
    hint: 'policies judge an image in its store: leave --validate or --dry-run out',
  })
}

/** Between two ends that both stream, a layout folder holds the image: neither waits for the other. */
async function copyThroughLayout(
  opener: Opener,
  from: SourceEnd,
  to: TargetEnd,
  options: CopyOptions,
): Promise<CopyResult> {
  const operation = await import('../operations/copy.ts')
  const folder = await mkdtemp(join(tmpdir(), 's3lo-copy-'))
  const layout = { kind: 'transport', transport: 'oci', text: `${folder}:copy` } as const
  try {
    await opener.withTarget(layout, options, (target) => operation.copy(from, target, options))
    return await opener.withSource(layout, options, (source) => operation.copy(source, to, options))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What an image is called in the engine unless the user says otherwise. */
function defaultTarget({ name, tag, digest }: StoreReference): string {
  if (tag !== undefined) return `${name}:${tag}`
  throw new S3loError('USAGE', `${name}@${digest} has no tag to give the image in the engine`, {
    hint: `name one: s3lo pull <reference> ${name}:latest`,
  })
}
