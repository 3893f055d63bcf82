import type { CopiedTag, CopyOptions, CopyTagsResult } from '@s3lo/core'
import {
  argument,
  type CommandOutput,
  type CommandWork,
  defineCommand,
  flag,
  option,
  repeatedOption,
  S3loError,
} from '@s3lo/core/plugin'
import { parseEndpoint } from '../parse-endpoint.ts'
import { isArchiveOnStandardOutput } from '../standard-output.ts'

export default defineCommand({
  examples: [
    ['Copy from a registry', 's3lo copy alpine:3.22 s3://my-bucket/alpine:3.22'],
    [
      'Show which tags a pattern selects, and what would become of them',
      "s3lo copy 'ghcr.io/org/app:v1.*' s3://my-bucket/app --dry-run",
    ],
    [
      'Copy two platforms without signatures and other attachments',
      's3lo copy s3://my-bucket/app:v1 local://./store/app:v1 --platform linux/amd64 --platform linux/arm64 --referrers none',
    ],
  ],
  parameters: {
    source: argument('src'),
    destination: argument('dest'),
    platforms: repeatedOption('--platform', 'copy only `OS/ARCH`; may be repeated'),
    allTags: flag('--all-tags', 'copy every tag of an image that is named without a tag'),
    dryRun: flag('--dry-run', 'show what would be copied, and copy nothing'),
    force: flag('--force', 'overwrite the tag even where the image is immutable'),
    validate: flag('--validate', 'publish only what passes the policies of the bucket'),
    allowNoPolicies: flag(
      '--allow-no-policies',
      'pass --validate even if no policy applies to the image',
    ),
    referrers: option('--referrers', 'copy `WHICH` attachments of the image: all or none'),
    verifyKey: option(
      '--verify-key',
      'copy only what this `KEY` signed: exactly the manifest that was verified',
    ),
    allowCosign: flag(
      '--allow-cosign',
      "with --verify-key: accept signatures in cosign's formats, as verify does",
    ),
    allowSchema1: flag(
      '--allow-schema-1',
      'with --verify-key: accept records of schema 1, as verify does',
    ),
    sourceEndpoint: option('--source-endpoint', 'the --endpoint `URL` of the source only'),
    destEndpoint: option('--dest-endpoint', 'the --endpoint `URL` of the destination only'),
  },
  activity: 'Copying',
  isResumable: true,
  writesStandardOutput: ({ destination }) => isArchiveOnStandardOutput(destination),
  hostOptions: ({ sourceEndpoint, destEndpoint }) => ({
    sourceEndpoint: parseEndpoint('--source-endpoint', sourceEndpoint),
    destEndpoint: parseEndpoint('--dest-endpoint', destEndpoint),
  }),
  async run(work) {
    const { source, platforms, force, validate, allowNoPolicies, allTags, dryRun } = work.args
    const { verifyKey, allowCosign, allowSchema1 } = work.args
    const options = {
      ...work.options,
      platforms,
      force,
      validate,
      allowNoPolicies,
      verifyKey,
      allowCosign,
      allowSchema1,
      referrers: parseReferrers(work.args.referrers),
      ...(dryRun ? { dryRun } : {}),
    }
    const { hasTagPattern } = await import('@s3lo/core')
    const isPattern = hasTagPattern(source)
    if (!allTags && !isPattern) return copyOne(work, options)
    if (!allTags || !isPattern) return copyTags(work, options)
    throw new S3loError('USAGE', '--all-tags and a pattern of tags exclude each other', {
      hint: 'leave --all-tags out to copy the tags that the pattern selects',
    })
  },
})

type Work = CommandWork<{
  readonly source: string
  readonly destination: string
  readonly dryRun: boolean
  readonly verifyKey: string | undefined
}>

async function copyOne({ args, host, status }: Work, options: CopyOptions): Promise<CommandOutput> {
  const { source, destination, dryRun, verifyKey } = args
  if (!dryRun) status(`Copying ${source} to ${destination}`)
  const begun = performance.now()
  const result = await host.copy(source, destination, options)
  const { verified_digest: verified } = result
  if (verified !== undefined) status(`Verified ${verified} with ${verifyKey}`)
  const { renderPlannedCopy, summariseCopy } = await import('@s3lo/views/copy')
  if (dryRun) return { result, render: () => renderPlannedCopy(result) }
  const { renderDigest } = await import('@s3lo/views/transfer')
  const summary = summariseCopy(result, destination, performance.now() - begun)
  return { result, render: () => renderDigest(result), status: summary }
}

async function copyTags(
  { args, host, status }: Work,
  options: CopyOptions,
): Promise<CommandOutput> {
  const { source, destination, dryRun } = args
  const { renderTags, summariseTag, summariseTags } = await import('@s3lo/views/copy')
  if (!dryRun) status(`Copying tags of ${source} to ${destination}`)
  const onTag = dryRun ? undefined : (tag: CopiedTag) => status(summariseTag(tag))
  const result = await host.copyTags(source, destination, { ...options, onTag })
  const error = copyTagsError(result)
  return {
    result,
    render: () => renderTags(result),
    ...(dryRun ? {} : { status: summariseTags(result) }),
    ...(error ? { error } : {}),
  }
}

/** The error that a copy of several tags ends with when one of them failed: the first one's code. */
function copyTagsError({ tags, tags_failed: failed }: CopyTagsResult): S3loError | undefined {
  const first = tags.find(({ error }) => error !== undefined)
  if (!first?.error) return undefined
  const { code, message, hint } = first.error
  const many = `${failed} of ${tags.length} tags were not copied; the first, ${first.tag}`
  return new S3loError(code, `${many}: ${message}`, { hint })
}

function parseReferrers(choice: string | undefined): 'all' | 'none' | undefined {
  if (choice === undefined || choice === 'all' || choice === 'none') return choice
  throw new S3loError('USAGE', `${JSON.stringify(choice)} does not say which referrers to copy`, {
    hint: 'valid values of --referrers are all, none',
  })
}
