import { type CommandContribution, S3loError } from '@s3lo/core/plugin'
import { Cli, type CommandClass } from 'clipanion'
import { asksForHelp, optionValue, plainWords } from './arguments.ts'
import { S3loCommand } from './command.ts'
import { type CommandEntry, COMMANDS, findEntry } from './command-table.ts'
import type { S3loContext } from './context.ts'
import { toEntry } from './contributed-command.ts'
import { orAbandon } from './interrupt.ts'
import { withoutOldGroup } from './old-spelling.ts'
import { print } from './print.ts'
import { parseFormat } from './render/document.ts'
import { Reporter } from './reporter.ts'

/** Runs a command line and gives its exit status; every error has been told when it returns. */
export async function run(context: S3loContext): Promise<number> {
  try {
    return await dispatch(context)
  } catch (error) {
    const { interruption } = context
    const status = await (await fallbackReporter(context)).failure(error)
    return interruption.exitStatus ?? status
  }
}

async function dispatch(context: S3loContext): Promise<number> {
  const { stdout } = context
  const argv = withoutOldGroup(context.argv, plainWords(context.argv))
  const typed = plainWords(argv)
  const words = typed[0] === 'help' ? typed.slice(1) : typed
  const wantsHelp = typed[0] === 'help' || asksForHelp(argv)
  if (words.length === 0 && argv.includes('--version')) return runCommand(context, ['version'])
  if (words.length === 0 && (wantsHelp || argv.length === 0)) return showOverview(context)
  if (words.length === 0) throw noCommand(argv)
  if (words.length > 0 && !findEntry(words)) {
    const ofPlugins = await groupOfPlugins(words, context)
    if (isGroup(words) || ofPlugins.length > 0) {
      const { groupOverview } = await import('./help.ts')
      await print(stdout, groupOverview(words, ofPlugins))
      return 0
    }
  }
  if (!wantsHelp) return runCommand(context, argv)
  const { commandHelp } = await import('./help.ts')
  await print(stdout, await commandHelp(await resolveEntry(words, context)))
  return 0
}

async function runCommand(context: S3loContext, argv: readonly string[]): Promise<number> {
  const entry = await resolveEntry(plainWords(argv), context)
  const { default: commandClass } = await entry.load()
  if (entry.isForeign) {
    const { runForeignCommand } = await import('./foreign-command.ts')
    const parseOwn: Parameters<typeof runForeignCommand>[2] = (own, itsContext) =>
      parse(entry, commandClass, own, itsContext)
    return withErrorStatus(entry, context, () =>
      runForeignCommand(context, argv, parseOwn, entry.errorStatus),
    )
  }
  const command = await parse(entry, commandClass, argv, context)
  // Commands that open a host watch for signals themselves: they know what became of their work.
  if (command instanceof S3loCommand) return command.execute()
  const { interruption } = context
  const status = await orAbandon(command.validateAndExecute(), interruption.signal)
  return interruption.exitStatus ?? status
}

/** Tells errors before a command's work, such as a wrong option, with the status that it promises. */
async function withErrorStatus(
  { errorStatus }: CommandEntry,
  context: S3loContext,
  execute: () => Promise<number>,
): Promise<number> {
  try {
    return await execute()
  } catch (error) {
    if (errorStatus === undefined || context.interruption.signal.aborted) throw error
    return (await fallbackReporter(context, errorStatus)).failure(error)
  }
}

async function parse(
  entry: CommandEntry,
  commandClass: CommandClass<S3loContext>,
  argv: readonly string[],
  context: S3loContext,
): Promise<ReturnType<Cli<S3loContext>['process']>> {
  const cli = Cli.from<S3loContext>([commandClass], { binaryName: 's3lo' })
  try {
    return cli.process([...argv], context)
  } catch (error) {
    const { isUsageError, toUsageError } = await import('./usage-error.ts')
    throw isUsageError(error) ? await toUsageError(error, entry) : error
  }
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

/** For errors before the command's options are known: they are looked for on the command line. */
async function fallbackReporter(context: S3loContext, errorStatus?: number): Promise<Reporter> {
  const { argv, env, stdout, stderr } = context
  const { parseColor } = await import('./render/color.ts')
  return new Reporter({
    stdout,
    stderr,
    env,
    format: valid(() => parseFormat(optionValue(argv, ['-o', '--output']))) ?? 'text',
    color: valid(() => parseColor(optionValue(argv, ['--color']))),
    quiet: argv.includes('--quiet'),
    verbose: argv.includes('--verbose'),
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
