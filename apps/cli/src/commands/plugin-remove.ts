import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { removePlugin } from '../plugin-store.ts'

export default class PluginRemoveCommand extends S3loCommand {
  static override readonly paths = [['plugin', 'remove']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Remove a plugin that was added', 's3lo plugin remove @s3lo/backend-s3'],
      [
        'Remove it and print the result for a program',
        's3lo plugin remove @s3lo/backend-s3 -o json',
      ],
    ],
  })

  package = Option.String({ name: 'package' })

  protected override async run(_: Host, { signal }: OperationOptions): Promise<Output> {
    await removePlugin(this.package, { env: this.context.env, signal })
    const status = `Removed ${this.package}`
    return { result: { name: this.package, removed: true }, render: () => '', status }
  }
}
