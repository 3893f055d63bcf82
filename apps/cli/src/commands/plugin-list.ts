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

/** A plugin as a line of text: what it is, where it came from, what it brings or why it does not. */
export function renderPlugin(plugin: InstalledPlugin): string {
  const { name, version, from, error } = plugin
  const title = [name, version, `(${from})`].filter((word) => word !== '').join(' ')
  const brings = error ? `cannot be used: ${error.message}` : offersOf(plugin)
  return `${escapeText(`${title}: ${brings}`)}\n`
}

function offersOf({ schemes, transports, commands }: InstalledPlugin): string {
  const offers = [
    ...schemes.map((scheme) => `${scheme}://`),
    ...transports.map((transport) => `${transport}:`),
    ...commands.map((command) => `s3lo ${command}`),
  ]
  return offers.join(', ') || 'nothing'
}
