import type { CommandLineProblem } from '@s3lo/core/command'
import { S3loError } from '@s3lo/core/plugin'
import type { CommandEntry } from './command-table.ts'
import { describeCommand } from './describe-command.ts'
import { formatError } from './render/document.ts'
import { nearest } from './suggest.ts'

/** The `USAGE` error for a command line that its command does not understand. */
export async function toUsageError(
  problem: CommandLineProblem,
  entry: CommandEntry,
): Promise<S3loError> {
  if (problem.kind === 'format') return formatError(problem.value)
  const { paths, usage, options, globals } = await describeCommand(entry)
  const command = `s3lo ${paths[0]?.join(' ') ?? ''}`
  const help = `${command} --help`
  const names = [...options, ...globals].flatMap((each) => each.names)
  const meant = problem.kind === 'unknown-option' ? nearest(problem.option, names) : undefined
  const hint = meant === undefined ? help : `did you mean ${meant}? ${help} shows all`
  return new S3loError('USAGE', describe(problem, command, usage), { hint })
}

function describe(
  problem: Exclude<CommandLineProblem, { readonly kind: 'format' }>,
  command: string,
  usage: string,
): string {
  switch (problem.kind) {
    case 'unknown-option':
      return `${command} has no option ${problem.option}`
    case 'without-value':
      return `${problem.option} needs a value`
    case 'with-value':
      return `${problem.option} takes no value`
    case 'extra-argument':
      return `${command} was given one argument too many: ${problem.word}`
    case 'few-arguments':
      return `${command} needs more arguments: ${usage}`
    case 'required':
      return `${command} needs ${problem.options.join(' and ')}`
  }
}
