import { defineCommand, option, S3loError, SEVERITIES, type Severity } from '@s3lo/core/plugin'
import { settingsOf, shown, TRIVY_PARAMETERS } from './trivy-command.ts'

/** `s3lo scan`: exits 1 when there is something. */
export default defineCommand({
  examples: [
    ['See what is known about an image', 's3lo scan s3://my-bucket/app:v1'],
    ['Fail on what is serious', 's3lo scan s3://my-bucket/app:v1 --severity HIGH,CRITICAL'],
    ['Keep the report beside the image', 's3lo scan s3://my-bucket/app:v1 --format sarif --attach'],
  ],
  parameters: {
    ...TRIVY_PARAMETERS,
    severity: option('--severity', 'only findings of `LIST`: UNKNOWN, LOW, MEDIUM, HIGH, CRITICAL'),
    format: option(
      '--format',
      'write the report as `FORMAT`: table, json, sarif, cyclonedx, spdx-json or spdx',
    ),
  },
  activity: 'Scanning',
  isResumable: true,
  async run(work) {
    const { args, host, options, stdout } = work
    const { ref, platform, format = 'table', attach } = args
    const severities = parseSeverities(args.severity)
    const settings = settingsOf(work)
    const looking = { ...options, platform, format, attach, severities, settings }
    const result = await host.scan(ref, looking)
    const status = result.attached === undefined ? [] : [`attached as ${result.attached}`]
    const exitCode = result.findings ? 1 : 0
    const render = (): string => wholeLines(shown(result.report, format, stdout))
    return { result, render, status, exitCode }
  },
})

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
