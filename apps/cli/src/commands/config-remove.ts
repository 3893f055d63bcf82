import type { SetConfigResult } from '@s3lo/core'
import { argument, defineCommand, optionalArgument } from '@s3lo/core/plugin'
import { describeWrite } from '@s3lo/views/config'

export default defineCommand({
  examples: [
    ['Remove all settings of an image', 's3lo config remove s3://my-bucket/app'],
    ['Remove the retention of a glob', "s3lo config remove 's3://my-bucket/dev/*' lifecycle"],
    ['Remove one value of the defaults', 's3lo config remove s3://my-bucket/ lifecycle.max_age'],
  ],
  parameters: {
    reference: argument('store, image or glob'),
    key: optionalArgument('key'),
  },
  async run({ args: { reference, key }, host, options: { signal } }) {
    const result = await host.removeConfig(reference, key, { signal })
    return { result, render: () => '', status: [summary(result, key), ...describeWrite(result)] }
  },
})

function summary({ ref, changed }: SetConfigResult, key: string | undefined): string {
  if (!changed) return `No overrides found for ${ref}`
  return key === undefined
    ? `Removed all config overrides for ${ref}`
    : `Removed ${key} override for ${ref}`
}
