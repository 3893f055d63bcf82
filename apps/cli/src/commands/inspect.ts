import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderInspection } from '../render/inspection.ts'

export default class InspectCommand extends S3loCommand {
  static override readonly paths = [['inspect']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show layers, sizes, platforms and signatures', 's3lo inspect s3://my-bucket/app:v1'],
      ['Show an image by its content', 's3lo inspect s3://my-bucket/app@sha256:4bcf…'],
      ['Get the digest for a program', 's3lo inspect s3://my-bucket/app:v1 -o json'],
    ],
  })

  reference = Option.String({ name: 'ref' })

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    return { result: await host.inspect(this.reference, options), render: renderInspection }
  }
}
