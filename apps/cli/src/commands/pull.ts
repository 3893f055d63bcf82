import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'

export default class PullCommand extends S3loCommand {
  static override readonly paths = [['pull']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Pull an image into the Docker engine', 's3lo pull s3://my-bucket/app:v1'],
      ['Pull it under another name', 's3lo pull s3://my-bucket/app:v1 registry.test/app:latest'],
      [
        'Pull another platform into a layout folder',
        's3lo pull az://my-container/app:v1 oci:./app --platform linux/arm64',
      ],
    ],
  })

  reference = Option.String({ name: 'ref' })
  target = Option.String({ name: 'target', required: false })
  platform = Option.String('--platform', {
    description: "pull `OS/ARCH` instead of this machine's platform",
  })

  protected override readonly activity = 'Pulling'

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    this.status(`Pulling ${this.reference}`)
    const { platform } = this
    const result = await host.pull(this.reference, this.target, { ...options, platform })
    const status = isEngine(this.target) ? 'Done. Image imported into Docker.' : 'Done.'
    return { result, render: () => '', status }
  }
}

/** True for a bare name, and where none is given. */
function isEngine(target: string | undefined): boolean {
  return target === undefined || !/^(?:oci|oci-archive|docker-archive|docker):/.test(target)
}
