import type { CatResult, Host, OperationOptions, TakeContent } from '@s3lo/core'
import { S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { print } from '../print.ts'
import { type Format, isFormat } from '../render/document.ts'
import { formatSize } from '../render/text.ts'

export default class CatCommand extends S3loCommand {
  static override readonly paths = [['cat']]
  static override readonly usage = Command.Usage({
    examples: [
      ['See what an image is made from', 's3lo cat s3://my-bucket/app:v1 /etc/os-release'],
      [
        'Write a file of another platform',
        's3lo cat s3://my-bucket/app:v1 /bin/sh --platform linux/arm64 -O sh',
      ],
      ['Make the next reading fast', 's3lo cat s3://my-bucket/app:v1 /etc/passwd --index'],
    ],
  })

  reference = Option.String({ name: 'ref' })
  filePath = Option.String({ name: 'path' })
  platform = Option.String('--platform', {
    description: "read the image of `OS/ARCH` instead of this machine's platform",
  })
  file = Option.String('-O', {
    description: 'write the content to `FILE`; -o does so for what is no output format',
  })
  index = Option.Boolean('--index', false, {
    description: 'index the layers that are read, so that the next reader fetches less',
  })
  wholeLayers = Option.Boolean('--whole-layers', false, {
    description: 'read layers whole and use no index, so that digests cover all that is read',
  })

  /** `-o` names a file unless it is a format, as in the Go program. */
  protected override format(): Format {
    return isFormat(this.output ?? 'text') ? super.format() : 'text'
  }

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    const { platform, index, wholeLayers } = this
    const file = this.#target()
    const result = await host.cat(this.reference, this.filePath, await this.#taker(file), {
      ...options,
      platform,
      index,
      wholeLayers,
    })
    const written = file === undefined ? [] : [`Written to ${file}`]
    return { result, render: () => '', status: [describe(result), ...written] }
  }

  #target(): string | undefined {
    const named = this.output !== undefined && !isFormat(this.output) ? this.output : undefined
    const file = this.file ?? named
    if (file !== undefined || this.format() === 'text') return file
    throw new S3loError('USAGE', 'a document and the content cannot both go to standard output', {
      hint: 'add -O FILE for the content',
    })
  }

  async #taker(file: string | undefined): Promise<TakeContent> {
    const { stdout } = this.context
    if (file !== undefined) {
      const { replaceFile } = await import('@s3lo/core/command')
      return (content) => replaceFile(file, content)
    }
    return async (content) => {
      for await (const chunk of content) {
        const { buffer, byteOffset, byteLength } = chunk
        if (!(await print(stdout, Buffer.from(buffer, byteOffset, byteLength)))) return
      }
    }
  }
}

function describe({ fetched_bytes, layers_bytes, path }: CatResult): string {
  return `${path}: fetched ${formatSize(fetched_bytes)} of ${formatSize(layers_bytes)}`
}
