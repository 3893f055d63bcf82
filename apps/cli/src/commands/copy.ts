import type { CopyResult, Host, HostOptions, OperationOptions } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, parseEndpoint, S3loCommand } from '../command.ts'

export default class CopyCommand extends S3loCommand {
  static override readonly paths = [['copy']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Copy between stores', 's3lo copy s3://my-bucket/app:v1 gs://other-bucket/app:v1'],
      ['Copy from a registry', 's3lo copy alpine:3.22 s3://my-bucket/alpine:3.22'],
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
  force = Option.Boolean('--force', false, {
    description: 'overwrite the tag even where the image is immutable',
  })
  validate = Option.Boolean('--validate', false, {
    description: 'publish only what passes the policies of the bucket',
  })
  referrers = Option.String('--referrers', {
    description: 'copy `WHICH` attachments of the image: all or none',
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

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    const referrers = parseReferrers(this.referrers)
    this.status(`Copying ${this.source} to ${this.destination}`)
    const { platforms, force, validate } = this
    const result = await host.copy(this.source, this.destination, {
      ...options,
      platforms,
      force,
      validate,
      referrers,
    })
    return { result, render: () => '', status: this.#summary(result) }
  }

  #summary({ platforms, ...moved }: CopyResult): readonly string[] {
    const parts = [
      ...(platforms > 1 ? [`${platforms} platform(s) copied`] : []),
      `${moved.blobs_copied} blob(s) copied`,
      `${moved.blobs_skipped} skipped (already exist)`,
    ]
    const done = `Done. ${parts.join(', ')}.`
    const dropped = moved.signatures_dropped
    if (dropped === 0) return [done]
    return [
      done,
      `note: ${dropped} signature(s) stayed behind, they hold for the source only; sign the copy: s3lo sign ${this.destination} --key KEY`,
    ]
  }
}

function parseReferrers(choice: string | undefined): 'all' | 'none' | undefined {
  if (choice === undefined || choice === 'all' || choice === 'none') return choice
  throw new S3loError('USAGE', `${JSON.stringify(choice)} does not say which referrers to copy`, {
    hint: 'valid values of --referrers are all, none',
  })
}
