import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { addPlugin } from '../plugin-store.ts'
import { renderPlugin } from './plugin-list.ts'

export default class PluginAddCommand extends S3loCommand {
  static override readonly paths = [['plugin', 'add']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Add stores in Amazon S3', 's3lo plugin add @s3lo/backend-s3'],
      ['Add a certain version', 's3lo plugin add s3lo-backend-foo@1.2.0'],
    ],
  })

  package = Option.String({ name: 'package' })

  protected override async run(_: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await addPlugin(this.package, { env: this.context.env, signal })
    return { result, render: () => renderPlugin(result) }
  }
}
