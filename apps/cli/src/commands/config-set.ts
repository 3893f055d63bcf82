import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { describeWrite } from '../render/config.ts'

export default class ConfigSetCommand extends S3loCommand {
  static override readonly paths = [['config', 'set']]
  static override readonly usage = Command.Usage({
    examples: [
      [
        'Keep ten tags of every image, and those of the last 90 days',
        's3lo config set s3://my-bucket/ lifecycle.keep_last=10 lifecycle.max_age=90d',
      ],
      [
        'Refuse to overwrite the tags of all release images',
        "s3lo config set 's3://my-bucket/release/*' immutable=true",
      ],
      ['Unset a value again', 's3lo config set s3://my-bucket/app lifecycle.max_age='],
    ],
  })

  reference = Option.String({ name: 'store, image or glob' })
  settings = Option.Rest({ name: 'key=value', required: 1 })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await host.setConfig(this.reference, this.settings, { signal })
    const done = result.changed
      ? `Config updated for ${result.ref}`
      : `Config of ${result.ref} says so already`
    return { result, render: () => '', status: [done, ...describeWrite(result)] }
  }
}
