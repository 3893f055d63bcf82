import { replaceFile } from '@s3lo/core/command'
import { Command, Option } from 'clipanion'
import { ACTIVITY, TrivyCommand } from './trivy-command.ts'

/** `s3lo sbom`. */
export default class SbomCommand extends TrivyCommand {
  static override readonly paths = [['sbom']]
  static override readonly usage = Command.Usage({
    examples: [
      ['Print a CycloneDX document', 's3lo sbom s3://my-bucket/app:v1'],
      ['Write SPDX to a file', 's3lo sbom s3://my-bucket/app:v1 --format spdx-json -O app.json'],
      ['Keep it beside the image', 's3lo sbom s3://my-bucket/app:v1 --attach'],
    ],
  })

  format = Option.String('--format', 'cyclonedx', {
    description: 'write the document as `FORMAT`: cyclonedx, spdx-json or spdx',
  })
  file = Option.String('-O,-o', {
    description: 'write the document to `FILE`; -o does so for what is no output format',
  })

  override execute(): Promise<number> {
    return this.context.runCommand(async ({ host, options }) => {
      const { platform, format, attach, file } = this
      const looking = { ...options, platform, format, attach, settings: this.settings() }
      const result = await host.sbom(this.ref, looking)
      const status = result.attached === undefined ? [] : [`attached as ${result.attached}`]
      if (file === undefined) {
        return { result, render: () => this.shown(result.sbom, format), status }
      }
      await replaceFile(file, [Buffer.from(result.sbom)])
      return { result, render: () => '', status: [...status, `SBOM written to ${file}`] }
    }, ACTIVITY)
  }
}
