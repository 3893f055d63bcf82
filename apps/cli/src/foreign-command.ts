import type { CommandContext, CommandOutput, CommandWork, Host, OperationOptions } from '@s3lo/core'
import { Cli, Command } from 'clipanion'
import { splitGlobals } from './arguments.ts'
import { S3loCommand } from './command.ts'
import type { S3loContext } from './context.ts'
import { orAbandon } from './interrupt.ts'
import { isFormat } from './render/document.ts'

type Work = Parameters<CommandContext['runCommand']>[0]

/** A command of a plugin, made of its own words. */
interface ParsedCommand {
  validateAndExecute(): Promise<number>
}

/**
 * Runs a command that a plugin brings: the global options are taken off its command line, and its
 * context gives it what our own commands inherit. Throws what it throws.
 */
export async function runForeignCommand(
  context: S3loContext,
  argv: readonly string[],
  parse: (own: readonly string[], context: S3loContext & CommandContext) => Promise<ParsedCommand>,
  errorStatus?: number,
): Promise<number> {
  const { globals, own } = splitGlobals(argv, isFormat)
  let isWorking = false
  const command = await parse(own, {
    ...context,
    runCommand: (work, { activity } = {}) => {
      isWorking = true
      return runnerOf({ work, activity, errorStatus }, globals, context).execute()
    },
  })
  const execution = command.validateAndExecute()
  const { interruption } = context
  try {
    const status = await orAbandon(execution, interruption.signal)
    return interruption.exitStatus ?? status
  } catch (error) {
    // Work in progress watches for signals itself, and knows how to say what became of it.
    if (isWorking && interruption.signal.aborted) return execution
    throw error
  }
}

interface RunnerOptions {
  readonly work: Work
  readonly activity: string | undefined
  readonly errorStatus: number | undefined
}

/** Our own base command with the global options, around the work of another. */
function runnerOf(
  { work, activity, errorStatus }: RunnerOptions,
  globals: readonly string[],
  context: S3loContext,
): S3loCommand {
  class Runner extends S3loCommand {
    static override readonly paths = [Command.Default]
    protected override readonly activity = activity
    protected override readonly errorStatus = errorStatus
    protected override run(host: Host, options: OperationOptions): Promise<CommandOutput> {
      const isDocument = this.format() !== 'text'
      const given: CommandWork = { host, options, isDocument, status: (line) => this.status(line) }
      return work(given)
    }
  }
  const command = Cli.from<S3loContext>([Runner], { binaryName: 's3lo' }).process(
    [...globals],
    context,
  )
  if (command instanceof Runner) return command
  throw new TypeError('the global options were not understood')
}
