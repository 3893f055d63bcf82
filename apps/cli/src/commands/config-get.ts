import { argument, defineCommand } from '@s3lo/core/plugin'
import { renderConfig } from '@s3lo/views/config'

export default defineCommand({
  examples: [
    ['Show everything that a store sets', 's3lo config get s3://my-bucket/'],
    ['Show what holds for one image, and why', 's3lo config get s3://my-bucket/team/app'],
    ['Read one value by a program', 's3lo config get local://./store/app -o json'],
  ],
  parameters: {
    reference: argument('store, image or glob'),
  },
  async run({ args: { reference }, host, options: { signal } }) {
    const config = await host.getConfig(reference, { signal })
    return { result: config.settings, render: () => renderConfig(reference, config) }
  },
})
