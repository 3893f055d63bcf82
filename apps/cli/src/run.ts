import { parseCommand, type ParsedArgs } from '@s3lo/core/command'
import { type CommandContribution, type CommandDefinition, S3loError } from '@s3lo/core/plugin'
import { type CommandEntry, COMMANDS, findEntry } from './command-table.ts'
import type { S3loContext } from './context.ts'
import { toEntry } from './contributed-command.ts'
import { execute } from './execute.ts'
import { asksForHelp, plainWords, type SplitLine, takeGlobals } from './globals.ts'
import { orAbandon } from './interrupt.ts'
import { withoutOldGroup } from './old-spelling.ts'
import { print } from './print.ts'
import { parseFormat } from './render/document.ts'
import { Reporter } from './reporter.ts'

/** Runs a command line and gives its exit status; every error has been told when it returns. */
export async function run(context: S3loContext): Promise<number> {
  const { interruption } = context
  const split = takeGlobals(context.argv)
  const line = { ...split, own: withoutOldGroup(split.own, plainWords(split.own)) }
  try {
    return await dispatch(line, context)
  } catch (error) {
    const status = await (await fallbackReporter(line, context)).failure(error)
    return interruption.exitStatus ?? status
  }
}

async function dispatch(line: SplitLine, context: S3loContext): Promise<number> {
  const { stdout, argv } = context
  const typed = plainWords(line.own)
  const words = typed[0] === 'help' ? typed.slice(1) : typed
  const wantsHelp = typed[0] === 'help' || asksForHelp(line.own)
  if (words.length === 0 && line.own.includes('--version')) {
    return runCommand({ ...line, own: ['version'] }, context)
  }
  if (words.length === 0 && (wantsHelp || argv.length === 0)) return showOverview(context)
  if (words.length === 0) throw noCommand(argv)
  if (!findEntry(words)) {
    const ofPlugins = await groupOfPlugins(words, context)
    if (isGroup(words) || ofPlugins.length > 0) {
      const { groupOverview } = await import('./help.ts')
      await print(stdout, groupOverview(words, ofPlugins))
      return 0
    }
  }
  if (!wantsHelp) return runCommand(line, context)
  const { commandHelp } = await import('./help.ts')
  await print(stdout, await commandHelp(await resolveEntry(words, context)))
  return 0
}

async function runCommand(line: SplitLine, context: S3loContext): Promise<number> {
  const { globals, own } = line
  const entry = await resolveEntry(plainWords(own), context)
  const { errorStatus } = entry
  const { interruption } = context
  try {
    const { default: definition } = await orAbandon(entry.load(), interruption.signal)
    const args = await parse(line, entry, definition)
    return await execute({ definition, globals, args, errorStatus }, context)
  } catch (error) {
    // An error before the command's work has the status that the command promises, too.
    if (errorStatus === undefined || interruption.signal.aborted) throw error
    return (await fallbackReporter(line, context, errorStatus)).failure(error)
  }
}

async function parse(
  { own, withoutValue }: SplitLine,
  entry: CommandEntry,
  { parameters }: CommandDefinition,
): Promise<ParsedArgs> {
  const parsed =
    withoutValue === undefined
      ? parseCommand(withoutPath(own, entry), parameters)
      : ({ problem: { kind: 'without-value', option: withoutValue } } as const)
  if ('args' in parsed) return parsed.args
  const { toUsageError } = await import('./usage-error.ts')
  throw await toUsageError(parsed.problem, entry)
}

/** What follows the words that select the command. */
function withoutPath(own: readonly string[], { paths }: CommandEntry): readonly string[] {
  const words = plainWords(own)
  const path = paths.find((each) => each.every((word, i) => word === words[i])) ?? paths[0]
  const left = [...own]
  for (const word of path) left.splice(left.indexOf(word), 1)
  return left
}

/** The command that the words select: ours, else an installed plugin's. Throws when there is none. */
async function resolveEntry(words: readonly string[], context: S3loContext): Promise<CommandEntry> {
  const own = findEntry(words)
  if (own) return own
  const contribution = await context.plugins.findCommand(words)
  if (contribution) return toEntry(contribution)
  const { unknownCommand, unknownInGroup } = await import('./unknown-command.ts')
  const group = words.slice(0, 1)
  const known = await groupOfPlugins(group, context)
  throw known.length > 0 && !isGroup(group) ? unknownInGroup(words, known) : unknownCommand(words)
}

/** True when the words are not a command yet but the beginning of some: `s3lo plugin`. */
function isGroup(words: readonly string[]): boolean {
  return COMMANDS.some(({ paths }) =>
    paths.some((path) => path.length > words.length && words.every((word, i) => word === path[i])),
  )
}

/** The commands of installed plugins that begin with the words and have more. */
async function groupOfPlugins(
  words: readonly string[],
  { plugins }: S3loContext,
): Promise<readonly CommandContribution[]> {
  const commands = words.length > 2 ? [] : await plugins.commands()
  return commands.filter(
    ({ path }) => path.length > words.length && words.every((word, i) => word === path[i]),
  )
}

async function showOverview({ stdout, plugins }: S3loContext): Promise<number> {
  const { overview } = await import('./help.ts')
  await print(stdout, overview(await plugins.commands()))
  return 0
}

function noCommand(argv: readonly string[]): S3loError {
  return new S3loError('USAGE', `${argv[0] ?? ''} needs a command to go with`, {
    hint: 's3lo --help',
  })
}

/** For errors before the values of the global options are known to be right. */
async function fallbackReporter(
  { globals }: SplitLine,
  { env, stdout, stderr }: S3loContext,
  errorStatus?: number,
): Promise<Reporter> {
  const { parseColor } = await import('./render/color.ts')
  const { quiet, verbose } = globals
  return new Reporter({
    stdout,
    stderr,
    env,
    format: valid(() => parseFormat(globals.output)) ?? 'text',
    color: valid(() => parseColor(globals.color)),
    quiet,
    verbose,
    noProgress: true,
    errorStatus,
  })
}

function valid<T extends string>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined // It may be this very value that the error is about.
  }
}
