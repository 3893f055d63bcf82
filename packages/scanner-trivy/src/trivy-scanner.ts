import {
  asObject,
  type CallOptions,
  isS3loError,
  parseJson,
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
    const run = await this.#run(
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
    const { exitCode, output } = run
    if (exitCode !== 0 && exitCode !== FINDINGS_STATUS) throw failed(target, run)
    assertReport(target, run, format)
    return { hasFindings: exitCode === FINDINGS_STATUS, report: output }
  }

  async sbom(target: ScanTarget, { format, signal }: SbomOptions): Promise<string> {
    assertFormat(format, SBOM_FORMATS)
    const run = await this.#run([`--format=${format}`], target, { signal })
    if (run.exitCode !== 0) throw failed(target, run)
    assertReport(target, run, format)
    return run.output
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

/** What a document of each format has at its top; the others are texts. */
const DOCUMENT_MEMBERS: Readonly<Record<string, string>> = {
  json: 'SchemaVersion',
  sarif: 'runs',
  cyclonedx: 'bomFormat',
  'spdx-json': 'spdxVersion',
}

/** A report is believed when it is whole: Trivy may have been cut short and say 0. Throws `INTEGRITY`. */
function assertReport({ name }: ScanTarget, { output, remarks }: TrivyRun, format: string): void {
  const member = Object.hasOwn(DOCUMENT_MEMBERS, format) ? DOCUMENT_MEMBERS[format] : undefined
  const isEmpty = output.trim() === ''
  // A table of nothing may be empty, but Trivy says then what it looked for.
  if (isEmpty && format === 'table' && remarks !== '') return
  const what = `trivy's ${format} of ${name}`
  const wrong = isEmpty ? `${what} is empty` : member && problemOf(output, member, what)
  if (wrong) throw new S3loError('INTEGRITY', `${wrong}${said(remarks)}`, { hint: 'run it again' })
}

function problemOf(output: string, member: string, what: string): string | undefined {
  try {
    const document = asObject(parseJson(Buffer.from(output), what), what)
    return member in document ? undefined : `${what} has no ${member}`
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY')) return `${error.message}: it is torn or of another kind`
    throw error
  }
}

/** What ended it, and what it said about itself. */
function failed({ name }: ScanTarget, { exitCode, signal, remarks }: TrivyRun): S3loError {
  const offline = /database|DB error|download|no such host|connection/i.test(remarks)
  const end = signal === undefined ? `status ${exitCode}` : `ended by ${signal}`
  return new S3loError(
    'UNAVAILABLE',
    `trivy could not look into ${name} (${end})${said(remarks)}`,
    signal === 'SIGKILL'
      ? {
          hint: 'the system ends a program that takes too much memory: give it more, or look into a smaller image',
        }
      : offline
        ? {
            hint: 'trivy needs its vulnerability database: run it once with a network, or trivy image --download-db-only',
          }
        : {},
  )
}

/** Trivy's last lines: the last one is the reason, the ones before tell how it got there. */
function said(remarks: string): string {
  const lines = remarks.split('\n').filter((line) => line.trim() !== '')
  const grave = lines.filter((line) => !/\bINFO\b/.test(line))
  const text = (grave.length > 0 ? grave : lines)
    .slice(-REMARK_LINES)
    .map((line) =>
      line
        .replaceAll(/\p{Cc}/gu, ' ')
        .trim()
        .slice(0, 500),
    )
    .join('; ')
  return `: ${text || 'it said nothing'}`
}

const REMARK_LINES = 3
