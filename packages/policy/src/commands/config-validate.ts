import type { PolicyResult, ValidateResult } from '@s3lo/core'
import { argument, defineCommand, escapeText, EXIT_STATUS, flag, option } from '@s3lo/core/plugin'

/** `s3lo config validate`. */
export default defineCommand({
  examples: [
    ['Check an image before it is deployed', 's3lo config validate s3://my-bucket/app:v1'],
    ['For a pipeline', 's3lo config validate s3://my-bucket/app:v1 -o json'],
  ],
  parameters: {
    ref: argument('ref'),
    installTrivy: flag(
      '--install-trivy',
      'install Trivy when a policy needs it and it is not there',
    ),
    trivyPath: option('--trivy-path', 'run the Trivy in `FILE`'),
  },
  async run({ args: { ref, ...settings }, host, options }) {
    const result = await host.validate(ref, { ...options, settings })
    return { result, render: () => renderValidation(result), exitCode: statusOf(result) }
  },
})

/** A policy that has no answer says more than one that says no. */
function statusOf({ results, all_passed: passed }: ValidateResult): number {
  const unanswered = results.find(({ error }) => error)?.error
  if (unanswered) return EXIT_STATUS[unanswered.code]
  return passed ? 0 : 1
}

function renderValidation({ results }: ValidateResult): string {
  if (results.length === 0) return 'No policies configured.\n'
  const failed = results.filter(({ passed, error }) => !passed && !error).length
  const unanswered = results.filter(({ error }) => error).length
  const verdict = [
    ...(failed + unanswered === 0 ? ['All policies passed.'] : []),
    ...(failed > 0 ? [`${policies(failed)} failed.`] : []),
    ...(unanswered > 0 ? [`${policies(unanswered)} gave no answer.`] : []),
  ]
  return `${results.map(line).join('\n')}\n\n${verdict.join(' ')}\n`
}

function policies(count: number): string {
  return count === 1 ? '1 policy' : `${count} policies`
}

/** Names come from a file in a bucket, messages from what is in an image. */
function line({ name, passed, message, error }: PolicyResult): string {
  const remark = message === undefined ? '' : ` (${escapeText(message)})`
  const hint = error?.hint === undefined ? '' : `\n  hint: ${escapeText(error.hint)}`
  const outcome = passed ? 'passed' : error ? 'ERROR' : 'FAILED'
  return `${passed ? '✓' : '✗'} ${escapeText(name).padEnd(25)} ${outcome}${remark}${hint}`
}
