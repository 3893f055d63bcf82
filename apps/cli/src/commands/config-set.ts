import { SETTINGS } from '@s3lo/core'
import { argument, defineCommand, someArguments } from '@s3lo/core/plugin'
import { describeWrite } from '@s3lo/views/config'

export default defineCommand({
  examples: [
    [
      'Keep ten tags of every image, and those of the last 90 days',
      's3lo config set s3://my-bucket/ lifecycle.keep_last=10 lifecycle.max_age=90d',
    ],
    [
      'Refuse to overwrite the tags of all release images',
      "s3lo config set 's3://my-bucket/release/*' immutable=true",
    ],
    ['Unset a value again', 's3lo config set s3://my-bucket/app lifecycle.max_age='],
  ],
  parameters: {
    reference: argument('store, image or glob'),
    settings: someArguments('key=value'),
  },
  tables: [
    {
      title: 'Settings',
      rows: Object.entries(SETTINGS).map(([key, { help }]) => [key, help] as const),
    },
  ],
  async run({ args: { reference, settings }, host, options: { signal } }) {
    const result = await host.setConfig(reference, settings, { signal })
    const done = result.changed
      ? `Config updated for ${result.ref}`
      : `Config of ${result.ref} says so already`
    return { result, render: () => '', status: [done, ...describeWrite(result)] }
  },
})
