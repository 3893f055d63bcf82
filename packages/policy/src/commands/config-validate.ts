import type { CommandContext, PolicyResult, ValidateResult } from '@s3lo/core'
import { escapeText } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'

/** `s3lo config validate`. */
export default class ConfigValidateCommand extends Command<CommandContext> {
  static override readonly paths = [['config', 'validate']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Check an image before it is deployed', 's3lo config validate s3://my-bucket/app:v1'],
      ['For a pipeline', 's3lo config validate s3://my-bucket/app:v1 -o json'],
    ],
  })

  ref = Option.String({ name: 'ref' })
  installTrivy = Option.Boolean('--install-trivy', false, {
    description: 'install Trivy when a policy needs it and it is not there',
  })
  trivyPath = Option.String('--trivy-path', { description: 'run the Trivy in `FILE`' })

  override execute(): Promise<number> {
    return this.context.runCommand(async ({ host, options }) => {
      const settings = { installTrivy: this.installTrivy, trivyPath: this.trivyPath }
      const result = await host.validate(this.ref, { ...options, settings })
      return { result, render: renderValidation, exitCode: result.all_passed ? 0 : 1 }
    })
  }
}

function renderValidation({ results }: ValidateResult): string {
  if (results.length === 0) return 'No policies configured.\n'
  const failed = results.filter(({ passed }) => !passed).length
  const verdict = failed === 0 ? 'All policies passed.' : `${failed} policy failed.`
  return `${results.map(line).join('\n')}\n\n${verdict}\n`
}

/** Names come from a file in a bucket, messages from what is in an image. */
function line({ name, passed, message }: PolicyResult): string {
  const remark = message === undefined ? '' : ` (${escapeText(message)})`
  return `${passed ? '✓' : '✗'} ${escapeText(name).padEnd(25)} ${passed ? 'passed' : 'FAILED'}${remark}`
}
