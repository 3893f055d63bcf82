import { type CommandContribution, S3loError } from '@s3lo/core/plugin'
import type { CommandClass } from 'clipanion'
import { adoptCommand } from './adopt-command.ts'
import type { CommandEntry } from './command-table.ts'
import type { S3loContext } from './context.ts'
import type { PluginLoader } from './plugin-loader.ts'

/** The commands that installed plugins bring. */
export async function contributedCommands(plugins: PluginLoader): Promise<readonly CommandEntry[]> {
  return (await plugins.commands()).map(toEntry)
}

/** A command of a plugin, as an entry of the command table. */
export function toEntry(contribution: CommandContribution): CommandEntry {
  const { path, summary, errorStatus } = contribution
  return {
    paths: [path],
    summary,
    isForeign: true,
    errorStatus,
    async load() {
      const { default: loaded } = await contribution.load()
      if (isCommandClass(loaded)) return { default: adoptCommand(loaded) }
      throw new S3loError('PLUGIN_INCOMPATIBLE', `s3lo ${path.join(' ')} is no command class`)
    },
  }
}

function isCommandClass(value: unknown): value is CommandClass<S3loContext> {
  return typeof value === 'function' && 'execute' in (value.prototype as object)
}
