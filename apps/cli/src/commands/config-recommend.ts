import type { RecommendResult } from '@s3lo/core'
import { argument, defineCommand } from '@s3lo/core/plugin'
import { escapeText } from '@s3lo/views/text'

export default defineCommand({
  examples: [
    ['See what would make a bucket cheaper', 's3lo config recommend s3://my-bucket/'],
    ['Read the advice by a program', 's3lo config recommend gs://my-bucket/ -o json'],
  ],
  parameters: {
    store: argument('store'),
  },
  async run({ args: { store }, host, options: { signal } }) {
    const result = await host.recommend(store, { signal })
    return { result, render: () => renderAdvice(result) }
  },
})

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
