import type { Prices } from '@s3lo/core'
import { argument, defineCommand, flag, option, S3loError } from '@s3lo/core/plugin'
import { renderLayers, renderStats } from '@s3lo/views/stats'

export default defineCommand({
  examples: [
    ['Count a store and estimate its cost', 's3lo stats s3://my-bucket/'],
    ['See which tags share which layers', 's3lo stats s3://my-bucket/team/ --layers'],
    ['Count with prices of your own', 's3lo stats gs://my-bucket/ --prices prices.json'],
  ],
  parameters: {
    store: argument('store'),
    layers: flag('--layers', 'show which tags share which layers instead'),
    prices: option('--prices', 'estimate the cost with the prices in `FILE`'),
  },
  activity: 'Reading',
  async run({ args: { store, layers, prices: file }, host, options: { signal, onProgress } }) {
    if (layers) {
      if (file !== undefined) {
        throw new S3loError('USAGE', '--layers shows no cost, so --prices has no use beside it')
      }
      const result = await host.layerSharing(store, { signal, onProgress })
      return { result, render: () => renderLayers(result) }
    }
    const prices = await loadPrices(file, signal)
    const result = await host.stats(store, { signal, onProgress, prices })
    return { result, render: () => renderStats(store, result) }
  },
})

async function loadPrices(
  file: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Prices | undefined> {
  if (file === undefined) return undefined
  const core = await import('@s3lo/core')
  return core.loadPrices(file, { signal })
}
