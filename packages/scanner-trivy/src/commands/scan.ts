import { S3loError, SEVERITIES, type Severity } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { ACTIVITY, TrivyCommand } from './trivy-command.ts'

/** `s3lo scan`: exits 1 when there is something. */
export default class ScanCommand extends TrivyCommand {
  static override readonly paths = [['scan']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See what is known about an image', 's3lo scan s3://my-bucket/app:v1'],
      ['Fail on what is serious', 's3lo scan s3://my-bucket/app:v1 --severity HIGH,CRITICAL'],
      [
        'Keep the report beside the image',
        's3lo scan s3://my-bucket/app:v1 --format sarif --attach',
      ],
    ],
  })

  severity = Option.String('--severity', {
    description: 'only findings of `LIST`: UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL',
  })
  format = Option.String('--format', 'table', {
    description: 'write the report as `FORMAT`: table, json, sarif, cyclonedx, spdx-json or spdx',
  })

  override execute(): Promise<number> {
    return this.context.runCommand(async ({ host, options }) => {
      const { platform, format, attach } = this
      const severities = parseSeverities(this.severity)
      const settings = this.settings()
      const looking = { ...options, platform, format, attach, severities, settings }
      const result = await host.scan(this.ref, looking)
      const status = result.attached === undefined ? [] : [`attached as ${result.attached}`]
      const exitCode = result.findings ? 1 : 0
      const render = (): string => wholeLines(this.shown(result.report, format))
      return { result, render, status, exitCode }
    }, ACTIVITY)
  }
}

/** `HIGH,CRITICAL`, in any case. */
function parseSeverities(list: string | undefined): readonly Severity[] | undefined {
  return list?.split(',').map((text) => {
    const severity = SEVERITIES.find((known) => known === text.trim().toUpperCase())
    if (severity) return severity
    throw new S3loError('USAGE', `${JSON.stringify(text)} is no severity`, {
      hint: `--severity takes a list of ${SEVERITIES.join(', ')}`,
    })
  })
}

function wholeLines(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`
}
