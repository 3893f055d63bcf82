import type { Host, OperationOptions } from '@s3lo/core'
import { escapeLines, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import { type Output, S3loCommand } from '../command.ts'
import { renderInspection } from '../render/inspection.ts'

export default class InspectCommand extends S3loCommand {
  static override readonly paths = [['inspect']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Show layers, sizes, platforms and signatures', 's3lo inspect s3://my-bucket/app:v1'],
      ['Get the digest for a program', 's3lo inspect s3://my-bucket/app:v1 -o json'],
      ['Get the manifest as it is stored', 's3lo inspect s3://my-bucket/app:v1 --raw'],
    ],
  })

  reference = Option.String({ name: 'ref' })
  raw = Option.Boolean('--raw', false, {
    description: 'print the manifest or index byte for byte',
  })

  protected override async run(host: Host, options: OperationOptions): Promise<Output> {
    if (this.raw) return this.#printRaw(host, options)
    return { result: await host.inspect(this.reference, options), render: renderInspection }
  }

  async #printRaw(host: Host, options: OperationOptions): Promise<Output> {
    if (this.format() !== 'text') {
      throw new S3loError('USAGE', '--raw and -o exclude each other', {
        hint: 'a manifest is JSON as it is',
      })
    }
    const { content } = await host.manifest(this.reference, options)
    const text = Buffer.from(content).toString('utf8')
    // Byte for byte for programs; a terminal must not obey what a manifest says.
    const { stdout, env } = this.context
    const { isTerminal } = await import('../render/color.ts')
    return {
      result: undefined,
      render: () => (isTerminal(stdout, env) ? escapeLines(text) : text),
    }
  }
}
