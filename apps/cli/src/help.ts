import type { CommandContribution } from '@s3lo/core/plugin'
import { type CommandEntry, COMMANDS } from './command-table.ts'
import {
  type ArgumentDescription,
  type CommandDescription,
  describeCommand,
  GLOBAL_OPTIONS,
  type OptionDescription,
} from './describe-command.ts'
import { ENVIRONMENT, EXIT_STATUSES, type Listed, TRANSPORTS } from './help-topics.ts'
import { escapeText } from '@s3lo/views/text'

/** What `s3lo --help` says; `plugins` are commands that installed plugins bring. */
export function overview(plugins: readonly CommandContribution[]): string {
  return sections([
    ['s3lo turns any bucket into a container image registry.'],
    ['Usage: s3lo <command> [options]'],
    ['Commands:', ...table(COMMANDS.map(toListed))],
    [...(plugins.length > 0 ? ['Commands of plugins:'] : []), ...table(plugins.map(fromPlugin))],
    ['Options of every command:', ...optionTable([...GLOBAL_OPTIONS, VERSION, HELP])],
    ['Images and stores:', ...table(TRANSPORTS)],
    ['Environment:', ...table(ENVIRONMENT)],
    ['Exit statuses:', ...table(EXIT_STATUSES)],
    ['s3lo <command> --help shows the arguments and options of a command, and examples.'],
  ])
}

/** What `s3lo plugin` says: the commands that begin with the words. */
export function groupOverview(
  words: readonly string[],
  ofPlugins: readonly CommandContribution[],
): string {
  const group = COMMANDS.filter(({ paths }) =>
    paths.some((path) => words.every((word, i) => path[i] === word)),
  )
  return sections([
    [`Usage: s3lo ${words.join(' ')} <command> [options]`],
    ['Commands:', ...table([...group.map(toListed), ...ofPlugins.map(fromPlugin)])],
  ])
}

/** What `s3lo <command> --help` says. */
export async function commandHelp(entry: CommandEntry): Promise<string> {
  const description = await describeCommand(entry)
  return sections([
    [capitalised(description.summary)],
    [`Usage: ${description.usage} [options]`, ...aliases(description)],
    description.arguments.length > 0
      ? ['Arguments:', ...table(description.arguments.map(toArgumentRow))]
      : [],
    ...description.tables.map(({ title, rows }) => [
      `${title}:`,
      ...table(rows.map(([words, summary]) => ({ words, summary }))),
    ]),
    ['Options:', ...optionTable(description.options)],
    description.globals.length > 0
      ? ['Options of every command:', ...optionTable(description.globals)]
      : [],
    [
      'Examples:',
      ...description.examples.flatMap(([label, line]) => [`  ${label}:`, `    ${line}`]),
    ],
    ['s3lo --help explains transports, environment variables and exit statuses.'],
  ])
}

const VERSION: OptionDescription = { names: ['--version'], description: 'show the version' }
const HELP: OptionDescription = { names: ['-h', '--help'], description: 'show help' }

function aliases({ paths }: CommandDescription): readonly string[] {
  const others = paths.slice(1).map((path) => `s3lo ${path.join(' ')}`)
  return others.length > 0 ? [`Also: ${others.join(', ')}`] : []
}

function toListed({ paths, summary }: CommandEntry): Listed {
  return { words: paths.map((path) => path.join(' ')).join(', '), summary }
}

function fromPlugin({ path, summary }: CommandContribution): Listed {
  return { words: path.join(' '), summary }
}

/** `-o, --output FORMAT`. */
export function optionWords({ names, value }: OptionDescription): string {
  return `${names.join(', ')}${value === undefined ? '' : ` ${value}`}`
}

function toArgumentRow({ words, description, values = [] }: ArgumentDescription): Listed {
  return {
    words,
    summary: values.length > 0 ? `${description} of ${values.join(', ')}` : description,
  }
}

function optionTable(options: readonly OptionDescription[]): readonly string[] {
  return table(
    options.map((option) => ({ words: optionWords(option), summary: option.description })),
  )
}

function table(rows: readonly Listed[]): readonly string[] {
  const width = Math.max(0, ...rows.map(({ words }) => words.length))
  return rows.map(({ words, summary }) =>
    escapeText(`  ${words.padEnd(width)}  ${summary}`).trimEnd(),
  )
}

function capitalised(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`
}

function sections(parts: readonly (readonly string[])[]): string {
  const filled = parts.filter((lines) => lines.length > 0)
  return `${filled.map((lines) => lines.join('\n')).join('\n\n')}\n`
}
