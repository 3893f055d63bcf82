import type { Host, OperationOptions, RecommendResult } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { escapeText } from '../render/text.ts'

export default class ConfigRecommendCommand extends S3loCommand {
  static override readonly paths = [['config', 'recommend']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See what would make a bucket cheaper', 's3lo config recommend s3://my-bucket/'],
      ['Read the advice by a program', 's3lo config recommend gs://my-bucket/ -o json'],
    ],
  })

  store = Option.String({ name: 'store' })

  protected override async run(host: Host, { signal }: OperationOptions): Promise<Output> {
    const result = await host.recommend(this.store, { signal })
    return { result, render: () => renderAdvice(result) }
  }
}

function renderAdvice({ findings, recommendations }: RecommendResult): string {
  const found = findings.map(({ ok, label }) => `${ok ? '[good]' : '[bad] '} ${escapeText(label)}`)
  const advice =
    recommendations.length === 0
      ? ['This bucket looks good: there is nothing to recommend.']
      : recommendations.flatMap(({ title, description }, i) => [
          `${i + 1}. ${escapeText(title)}`,
          `   ${escapeText(description)}`,
        ])
  return `${[...found, ...(found.length > 0 ? [''] : []), ...advice].join('\n')}\n`
}
