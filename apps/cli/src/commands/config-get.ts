import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderConfig } from '../render/config.ts'

export default class ConfigGetCommand extends S3loCommand {
  static override readonly paths = [['config', 'get']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show everything that a store sets', 's3lo config get s3://my-bucket/'],
      ['Show what holds for one image, and why', 's3lo config get s3://my-bucket/team/app'],
      ['Read one value by a program', 's3lo config get local://./store/app -o json'],
    ],
  })

  reference = Option.String({ name: 'store, image or glob' })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const config = await host.getConfig(this.reference, { signal })
    return { result: config.settings, render: () => renderConfig(this.reference, config) }
  }
}
