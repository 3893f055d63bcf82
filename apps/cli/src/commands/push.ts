import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'

export default class PushCommand extends S3loCommand {
  static override readonly paths = [['push']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Push an image of the Docker engine', 's3lo push app:v1 s3://my-bucket/app:v1'],
      [
        'Push what another program writes, and keep the digest',
        'D=$(docker save app:v1 | s3lo push docker-archive:- s3://my-bucket/app:v1)',
      ],
      [
        'Push everything that an archive holds',
        's3lo push oci-archive:app.tar local://./store/app:v1 --all-platforms',
      ],
    ],
  })

  image = Option.String({ name: 'image' })
  destination = Option.String({ name: 'ref' })
  platform = Option.String('--platform', {
    description: 'push `OS/ARCH` of an image that has several platforms',
  })
  allPlatforms = Option.Boolean('--all-platforms', false, {
    description: 'push the index with all its platforms and attestations',
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

  protected override readonly activity = 'Pushing'

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    this.status(`Pushing ${this.image} to ${this.destination}`)
    const begun = performance.now()
    const { platform, allPlatforms, force, validate, allowNoPolicies } = this
    const result = await host.push(this.image, this.destination, {
      ...options,
      platform,
      allPlatforms,
      force,
      validate,
      allowNoPolicies,
    })
    const { renderDigest, summarisePush } = await import('../render/transfer.ts')
    const status = summarisePush(result, performance.now() - begun)
    return { result, render: () => renderDigest(result), status }
  }
}
