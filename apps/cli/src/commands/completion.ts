import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type CommandEntry, COMMANDS } from '../command-table.ts'
import type { S3loContext } from '../context.ts'
import { type CommandDescription, describeCommand, GLOBAL_OPTIONS } from '../describe-command.ts'
import { print } from '../print.ts'
import { contributedCommands } from '../contributed-command.ts'
import { completionScript, SHELLS } from '../render/completion/script.ts'

/** Not an `S3loCommand`: it prints a script with any options. */
export default class CompletionCommand extends Command<S3loContext> {
  static override readonly paths = [['completion']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Complete commands in this bash', 'source <(s3lo completion bash)'],
      [
        'Complete them in every fish',
        's3lo completion fish > ~/.config/fish/completions/s3lo.fish',
      ],
    ],
  })

  shell = Option.String({ name: 'bash|zsh|fish|powershell' })

  override async execute(): Promise<number> {
    const shell = SHELLS.find((known) => known === this.shell)
    if (shell === undefined) {
      throw new S3loError('USAGE', `there is no completion for ${JSON.stringify(this.shell)}`, {
        hint: `shells are ${SHELLS.join(', ')}`,
      })
    }
    const contributed = await contributedCommands(this.context.plugins)
    const commands = await Promise.all([
      ...COMMANDS.map(describeCommand),
      ...contributed.map(describeIfLoadable),
    ])
    await print(
      this.context.stdout,
      completionScript(
        shell,
        commands.filter((each) => each !== undefined),
        GLOBAL_OPTIONS,
      ),
    )
    return 0
  }
}

/** A plugin with a command that cannot be loaded must not take the completion of all others away. */
async function describeIfLoadable(entry: CommandEntry): Promise<CommandDescription | undefined> {
  try {
    return await describeCommand(entry)
  } catch {
    return undefined
  }
}
