import type { Host, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { NpmWatch } from '../npm-watch.ts'
import { addPlugin } from '../plugin-store.ts'
import { renderPlugin } from './plugin-list.ts'

export default class PluginAddCommand extends S3loCommand {
  static override readonly paths = [['plugin', 'add']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Add stores in Amazon S3', 's3lo plugin add @s3lo/backend-s3'],
      ['Add a certain version', 's3lo plugin add @s3lo/backend-s3@0.1.0'],
      ['Add one that you make, from its folder', 's3lo plugin add ./my-plugin'],
    ],
  })

  package = Option.String({ name: 'package' })

  protected override async run(_: Host, { signal }: OperationOptions): Promise<Output> {
    const watch = new NpmWatch((line) => this.status(line))
    const result = await addPlugin(this.package, {
      env: this.context.env,
      signal,
      onStatus: (line) => this.status(line),
      onFetched: watch.onFetched,
    }).finally(() => watch.end())
    return { result, render: () => renderPlugin(result) }
  }
}
