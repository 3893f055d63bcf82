import type { Host, OperationOptions } from '@s3lo/core'
import { Command } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { type InstalledPlugin, listPlugins } from '../plugin-store.ts'
import { escapeText } from '../render/text.ts'

export default class PluginListCommand extends S3loCommand {
  static override readonly paths = [['plugin', 'list']]
  static override readonly usage = Command.Usage({
    examples: [
      ['List the installed plugins', 's3lo plugin list'],
      ['List them for a program', 's3lo plugin list -o json'],
    ],
  })

  protected override async run(_: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await listPlugins({ env: this.context.env, signal })
    return { result, render: () => result.map(renderPlugin).join('') }
  }
}

/** A plugin as a line of text: what it is, where it came from, what it brings. */
export function renderPlugin(plugin: InstalledPlugin): string {
  const { name, version, from, schemes, transports, commands } = plugin
  const brings = [
    ...schemes.map((scheme) => `${scheme}://`),
    ...transports.map((transport) => `${transport}:`),
    ...commands.map((command) => `s3lo ${command}`),
  ]
  return `${escapeText(`${name} ${version} (${from}): ${brings.join(', ') || 'nothing'}`)}\n`
}
