import { argument, defineCommand, flag, option, optionalArgument } from '@s3lo/core/plugin'
import { renderFiles, renderLongFiles } from '@s3lo/views/files'

export default defineCommand({
  examples: [
    ['See what is at the root of an image', 's3lo files s3://my-bucket/app:v1'],
    ['See a directory with sizes and owners', 's3lo files s3://my-bucket/app:v1 /etc --long'],
    [
      'List another platform for a program',
      's3lo files s3://my-bucket/app:v1 /usr/bin --platform linux/arm64 -o json',
    ],
  ],
  parameters: {
    reference: argument('ref'),
    directory: optionalArgument('dir'),
    platform: option(
      '--platform',
      "look into the image of `OS/ARCH` instead of this machine's platform",
    ),
    long: flag('--long', 'show kind, permissions, owner, size and time of each file'),
    wholeLayers: flag(
      '--whole-layers',
      'read layers whole and use no index, so that digests cover all that is read',
    ),
  },
  async run({ args, host, options }) {
    const { reference, directory, long, platform, wholeLayers } = args
    const result = await host.files(reference, directory, { ...options, platform, wholeLayers })
    const render = long ? renderLongFiles : renderFiles
    return { result, render: () => render(result) }
  },
})
