import {
  type CallOptions,
  S3loError,
  type SbomOptions,
  type Scanner,
  type ScanOptions,
  type ScanReport,
  type ScanTarget,
} from '@s3lo/core/plugin'
import { runTrivy, type TrivyRun } from './trivy-process.ts'

const SCAN_FORMATS = ['table', 'json', 'sarif', 'cyclonedx', 'spdx-json', 'spdx'] as const
const SBOM_FORMATS = ['cyclonedx', 'spdx-json', 'spdx'] as const

/**
 * What Trivy shall exit with for findings: it says 0 unless told, and 1 for its own errors, so it
 * must be neither.
 */
const FINDINGS_STATUS = 86

/** Looks into images by running Trivy on an OCI layout: no engine is needed. */
export class TrivyScanner implements Scanner {
  readonly name = 'trivy'
  readonly #executable: string
  readonly #env: Readonly<Record<string, string | undefined>>

  constructor(executable: string, env: Readonly<Record<string, string | undefined>>) {
    this.#executable = executable
    this.#env = env
  }

  /** Throws `USAGE` for a format that is none, and `UNAVAILABLE` with Trivy's words when it failed. */
  async scan(
    target: ScanTarget,
    { severities, format = 'table', signal }: ScanOptions,
  ): Promise<ScanReport> {
    assertFormat(format, SCAN_FORMATS)
    const { exitCode, output, remarks } = await this.#run(
      [
        `--format=${format}`,
        `--exit-code=${FINDINGS_STATUS}`,
        // Without it, the formats that are also those of SBOMs hold no vulnerabilities.
        '--scanners=vuln',
        ...(severities ? [`--severity=${severities.join(',')}`] : []),
      ],
      target,
      { signal },
    )
    if (exitCode !== 0 && exitCode !== FINDINGS_STATUS) throw failed(target, exitCode, remarks)
    return { hasFindings: exitCode === FINDINGS_STATUS, report: output }
  }

  async sbom(target: ScanTarget, { format, signal }: SbomOptions): Promise<string> {
    assertFormat(format, SBOM_FORMATS)
    const { exitCode, output, remarks } = await this.#run([`--format=${format}`], target, {
      signal,
    })
    if (exitCode !== 0) throw failed(target, exitCode, remarks)
    return output
  }

  #run(
    options: readonly string[],
    { folder }: ScanTarget,
    { signal }: CallOptions,
  ): Promise<TrivyRun> {
    const args = ['image', '--input', folder, '--no-progress', ...options]
    return runTrivy(this.#executable, args, this.#env, { signal })
  }
}

function assertFormat(format: string, known: readonly string[]): void {
  if (known.includes(format)) return
  throw new S3loError('USAGE', `${JSON.stringify(format)} is no format of this report`, {
    hint: `--format takes ${known.join(', ')}`,
  })
}

/** Trivy's last line is the reason; the ones before tell how it got there. */
function failed({ name }: ScanTarget, exitCode: number, remarks: string): S3loError {
  const lines = remarks.split('\n').filter((line) => line.trim() !== '')
  const reason = lines.at(-1)?.replaceAll(/\p{Cc}/gu, ' ') ?? 'it said nothing'
  const offline = /database|DB error|download|no such host|connection/i.test(remarks)
  return new S3loError(
    'UNAVAILABLE',
    `trivy could not look into ${name} (status ${exitCode}): ${reason.slice(0, 500)}`,
    offline
      ? {
          hint: 'trivy needs its vulnerability database: run it once with a network, or trivy image --download-db-only',
        }
      : {},
  )
}
