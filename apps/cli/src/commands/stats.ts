import type { Host, OperationOptions } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderLayers, renderStats } from '../render/stats.ts'

export default class StatsCommand extends S3loCommand {
  static override readonly paths = [['stats'], ['bucket', 'stats']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Count a store and estimate its cost', 's3lo stats s3://my-bucket/'],
      ['See which tags share which layers', 's3lo stats s3://my-bucket/team/ --layers'],
      ['Count with prices of your own', 's3lo stats gs://my-bucket/ --prices prices.json'],
    ],
  })

  store = Option.String({ name: 'store' })
  layers = Option.Boolean('--layers', false, {
    description: 'show which tags share which layers instead',
  })
  prices = Option.String('--prices', {
    description: 'estimate the cost with the prices in `FILE`',
  })

  protected override progressTitle(): string {
    return 'Reading'
  }

  protected override async run(
    host: Host,
    { signal, onProgress }: OperationOptions,
  ): Promise<Output> {
    if (this.layers) {
      if (this.prices !== undefined) {
        throw new S3loError('USAGE', '--layers shows no cost, so --prices has no use beside it')
      }
      const result = await host.layerSharing(this.store, { signal, onProgress })
      return { result, render: () => renderLayers(result) }
    }
    const prices = await this.#loadPrices(signal)
    const result = await host.stats(this.store, { signal, onProgress, prices })
    return { result, render: () => renderStats(this.store, result) }
  }

  async #loadPrices(signal: AbortSignal | undefined) {
    if (this.prices === undefined) return undefined
    const { loadPrices } = await import('@s3lo/core')
    return loadPrices(this.prices, { signal })
  }
}
