import type { CopiedTag, CopyOptions, CopyResult, Host, HostOptions } from '@s3lo/core'
import type { CopyTagsResult, OperationOptions } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, parseEndpoint, S3loCommand } from '../command.ts'
import { isArchiveOnStandardOutput } from '../standard-output.ts'

export default class CopyCommand extends S3loCommand {
  static override readonly paths = [['copy']]
  static override readonly usage = Command.Usage({
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
  })

  source = Option.String({ name: 'src' })
  destination = Option.String({ name: 'dest' })
  platforms = Option.Array('--platform', {
    description: 'copy only `OS/ARCH`; may be repeated',
  })
  allTags = Option.Boolean('--all-tags', false, {
    description: 'copy every tag of an image that is named without one',
  })
  dryRun = Option.Boolean('--dry-run', false, {
    description: 'show what would be copied, and copy nothing',
  })
  force = Option.Boolean('--force', false, {
    description: 'overwrite the tag even where the image is immutable',
  })
  validate = Option.Boolean('--validate', false, {
    description: 'publish only what passes the policies of the bucket',
  })
  allowNoPolicies = Option.Boolean('--allow-no-policies', false, {
    description: 'pass --validate even if no policy applies to the image',
  })
  referrers = Option.String('--referrers', {
    description: 'copy `WHICH` attachments of the image: all or none',
  })
  verifyKey = Option.String('--verify-key', {
    description: 'copy only what this `KEY` signed: exactly the manifest that was verified',
  })
  allowCosign = Option.Boolean('--allow-cosign', false, {
    description: "with --verify-key: accept signatures in cosign's formats, as verify does",
  })
  allowSchema1 = Option.Boolean('--allow-schema-1', false, {
    description: 'with --verify-key: accept records of schema 1, as verify does',
  })
  sourceEndpoint = Option.String('--source-endpoint', {
    description: 'the --endpoint `URL` of the source only',
  })
  destEndpoint = Option.String('--dest-endpoint', {
    description: 'the --endpoint `URL` of the destination only',
  })

  protected override readonly activity = 'Copying'

  protected override hostOptions(): HostOptions {
    return {
      ...super.hostOptions(),
      sourceEndpoint: parseEndpoint('--source-endpoint', this.sourceEndpoint),
      destEndpoint: parseEndpoint('--dest-endpoint', this.destEndpoint),
    }
  }

  protected override writesStandardOutput(): Promise<boolean> {
    return isArchiveOnStandardOutput(this.destination)
  }

  protected override async run(host: Host, given: OperationOptions): Promise<Output> {
    const {
      allowNoPolicies,
      platforms,
      force,
      validate,
      dryRun,
      verifyKey,
      allowCosign,
      allowSchema1,
    } = this
    const referrers = parseReferrers(this.referrers)
    const options = {
      ...given,
      platforms,
      force,
      validate,
      allowNoPolicies,
      verifyKey,
      allowCosign,
      allowSchema1,
      referrers,
      ...(dryRun ? { dryRun } : {}),
    }
    const { hasTagPattern } = await import('@s3lo/core')
    const isPattern = hasTagPattern(this.source)
    return this.allTags || isPattern
      ? this.#copyTags(host, options, isPattern)
      : this.#copyOne(host, options)
  }

  async #copyOne(host: Host, options: CopyOptions): Promise<Output<CopyResult>> {
    if (!this.dryRun) this.status(`Copying ${this.source} to ${this.destination}`)
    const begun = performance.now()
    const result = await host.copy(this.source, this.destination, options)
    const { verified_digest: verified } = result
    if (verified !== undefined) this.status(`Verified ${verified} with ${this.verifyKey}`)
    const { renderPlannedCopy, summariseCopy } = await import('../render/copy.ts')
    if (this.dryRun) return { result, render: renderPlannedCopy }
    const { renderDigest } = await import('../render/transfer.ts')
    const status = summariseCopy(result, this.destination, performance.now() - begun)
    return { result, render: renderDigest, status }
  }

  async #copyTags(
    host: Host,
    options: CopyOptions,
    isPattern: boolean,
  ): Promise<Output<CopyTagsResult>> {
    if (this.allTags && isPattern) {
      throw new S3loError('USAGE', '--all-tags and a pattern of tags exclude each other', {
        hint: 'leave --all-tags out to copy the tags that the pattern selects',
      })
    }
    const { copyTagsError, renderTags, summariseTag, summariseTags } =
      await import('../render/copy.ts')
    const { dryRun } = this
    if (!dryRun) this.status(`Copying tags of ${this.source} to ${this.destination}`)
    const onTag = dryRun ? undefined : (tag: CopiedTag) => this.status(summariseTag(tag))
    const result = await host.copyTags(this.source, this.destination, { ...options, onTag })
    const error = copyTagsError(result)
    return {
      result,
      render: renderTags,
      ...(dryRun ? {} : { status: summariseTags(result) }),
      ...(error ? { error } : {}),
    }
  }
}

function parseReferrers(choice: string | undefined): 'all' | 'none' | undefined {
  if (choice === undefined || choice === 'all' || choice === 'none') return choice
  throw new S3loError('USAGE', `${JSON.stringify(choice)} does not say which referrers to copy`, {
    hint: 'valid values of --referrers are all, none',
  })
}
