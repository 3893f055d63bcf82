import { argument, defineCommand, S3loError } from '@s3lo/core/plugin'
import { type CommandEntry, COMMANDS } from '../command-table.ts'
import type { S3loContext } from '../context.ts'
import { type CommandDescription, describeCommand, GLOBAL_OPTIONS } from '../describe-command.ts'
import { contributedCommands } from '../contributed-command.ts'
import { completionScript, SHELLS } from '../render/completion/script.ts'

export default defineCommand({
  examples: [
    ['Complete commands in this bash', 'source <(s3lo completion bash)'],
    ['Complete them in every fish', 's3lo completion fish > ~/.config/fish/completions/s3lo.fish'],
  ],
  parameters: {
    shell: argument('bash|zsh|fish|powershell'),
  },
  async run(work) {
    const { args } = work
    const shell = SHELLS.find((known) => known === args.shell)
    if (shell === undefined) {
      throw new S3loError('USAGE', `there is no completion for ${JSON.stringify(args.shell)}`, {
        hint: `shells are ${SHELLS.join(', ')}`,
      })
    }
    // Commands of our own are given the loader of plugins as well.
    const { plugins } = work as typeof work & Pick<S3loContext, 'plugins'>
    const contributed = await contributedCommands(plugins)
    const commands = await Promise.all([
      ...COMMANDS.map(describeCommand),
      ...contributed.map(describeIfLoadable),
    ])
    const script = completionScript(
      shell,
      commands.filter((each) => each !== undefined),
      GLOBAL_OPTIONS,
    )
    return { result: { shell, script }, render: () => script }
  },
})

/** A plugin with a command that cannot be loaded must not take the completion of all others away. */
async function describeIfLoadable(entry: CommandEntry): Promise<CommandDescription | undefined> {
  try {
    return await describeCommand(entry)
  } catch {
    return undefined
  }
}
