import { type CommandContribution, type CommandDefinition, S3loError } from '@s3lo/core/plugin'
import type { CommandEntry } from './command-table.ts'
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
    errorStatus,
    async load() {
      const { default: loaded } = await contribution.load()
      if (isDefinition(loaded)) return { default: loaded }
      throw new S3loError('PLUGIN_INCOMPATIBLE', `s3lo ${path.join(' ')} is no command definition`)
    },
  }
}

function isDefinition(value: unknown): value is CommandDefinition {
  if (typeof value !== 'object' || value === null) return false
  const { parameters, examples, run }: Partial<Record<keyof CommandDefinition, unknown>> = value
  return typeof parameters === 'object' && Array.isArray(examples) && typeof run === 'function'
}
