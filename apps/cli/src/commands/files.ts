import type { Host, ListedFile, OperationOptions } from '@s3lo/core'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderFiles, renderLongFiles } from '../render/files.ts'

export default class FilesCommand extends S3loCommand {
  static override readonly paths = [['files']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See what is at the root of an image', 's3lo files s3://my-bucket/app:v1'],
      ['See a directory with sizes and owners', 's3lo files s3://my-bucket/app:v1 /etc --long'],
      [
        'List another platform for a program',
        's3lo files s3://my-bucket/app:v1 /usr/bin --platform linux/arm64 -o json',
      ],
    ],
  })

  reference = Option.String({ name: 'ref' })
  directory = Option.String({ name: 'dir', required: false })
  platform = Option.String('--platform', {
    description: "look into the image of `OS/ARCH` instead of this machine's platform",
  })
  long = Option.Boolean('--long', false, {
    description: 'show kind, permissions, owner, size and time of each file',
  })
  wholeLayers = Option.Boolean('--whole-layers', false, {
    description: 'read layers whole and use no index, so that digests cover all that is read',
  })

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    const { platform, wholeLayers } = this
    const result = await host.files(this.reference, this.directory, {
      ...options,
      platform,
      wholeLayers,
    })
    const render = this.long ? renderLongFiles : renderFiles
    return { result, render: (listed: readonly ListedFile[]) => render(listed) }
  }
}
