import { PassThrough } from 'node:stream'
import type { CommandDefinition, CommandOutput, CommandWork } from '../command/definition.ts'
import { parseCommand } from '../command/parse.ts'
import type { ArgsOf, Parameters } from '../command/parameters.ts'

/**
 * Runs a command on the words that follow its own, as the command line does, and gives what it has
 * to say. Throws what the command throws. Of the work, a test gives what the command uses.
 */
export async function runCommand<P extends Parameters>(
  definition: CommandDefinition<P>,
  words: readonly string[],
  given: Partial<CommandWork> & Pick<CommandWork, 'host'>,
): Promise<CommandOutput> {
  const parsed = parseCommand(words, definition.parameters)
  if ('problem' in parsed) throw new TypeError(JSON.stringify(parsed.problem))
  const work: CommandWork = {
    options: {},
    status: () => {},
    isDocument: false,
    env: {},
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    onHangUp: () => () => {},
    passed: () => {},
    ...given,
    args: parsed.args,
  }
  // The values are those of the parameters: they were parsed by them.
  return definition.run(work as CommandWork<ArgsOf<P>>)
}
