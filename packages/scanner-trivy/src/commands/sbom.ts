import { replaceFile } from '@s3lo/core/command'
import { defineCommand, option } from '@s3lo/core/plugin'
import { settingsOf, shown, TRIVY_PARAMETERS } from './trivy-command.ts'

/** `s3lo sbom`. */
export default defineCommand({
  examples: [
    ['Print a CycloneDX document', 's3lo sbom s3://my-bucket/app:v1'],
    ['Write SPDX to a file', 's3lo sbom s3://my-bucket/app:v1 --format spdx-json -O app.json'],
    ['Keep it beside the image', 's3lo sbom s3://my-bucket/app:v1 --attach'],
  ],
  parameters: {
    ...TRIVY_PARAMETERS,
    format: option('--format', 'write the document as `FORMAT`: cyclonedx, spdx-json or spdx'),
    file: option(
      '-O,-o',
      'write the document to `FILE`; -o does the same for a value that is no output format',
    ),
  },
  activity: 'Scanning',
  isResumable: true,
  async run(work) {
    const { args, host, options, stdout } = work
    const { ref, platform, format = 'cyclonedx', attach, file } = args
    const looking = { ...options, platform, format, attach, settings: settingsOf(work) }
    const result = await host.sbom(ref, looking)
    const status = result.attached === undefined ? [] : [`attached as ${result.attached}`]
    if (file === undefined) {
      return { result, render: () => shown(result.sbom, format, stdout), status }
    }
    await replaceFile(file, [Buffer.from(result.sbom)])
    return { result, render: () => '', status: [...status, `SBOM written to ${file}`] }
  },
})
