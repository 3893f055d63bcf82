import type { Host, OperationOptions, SetConfigResult } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { describeWrite } from '../render/config.ts'

export default class ConfigRemoveCommand extends S3loCommand {
  static override readonly paths = [['config', 'remove']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Remove all settings of an image', 's3lo config remove s3://my-bucket/app'],
      ['Remove the retention of a glob', "s3lo config remove 's3://my-bucket/dev/*' lifecycle"],
      ['Remove one value of the defaults', 's3lo config remove s3://my-bucket/ lifecycle.max_age'],
    ],
  })

  reference = Option.String({ name: 'store, image or glob' })
  key = Option.String({ name: 'key', required: false })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await host.removeConfig(this.reference, this.key, { signal })
    return { result, render: () => '', status: [this.#summary(result), ...describeWrite(result)] }
  }

  #summary({ ref, changed }: SetConfigResult): string {
    if (!changed) return `No overrides found for ${ref}`
    return this.key === undefined
      ? `Removed all config overrides for ${ref}`
      : `Removed ${this.key} override for ${ref}`
  }
}
