import type { DoctorResult, ManifestIssue } from '@s3lo/core'
import type { Finding } from '@s3lo/core/plugin'
import { escapeText, formatSize } from './text.ts'
import { padEnd } from './width.ts'

const MARK: Readonly<Record<Finding['severity'], string>> = { ok: '✓', notice: '!', problem: '✗' }

const LABEL_WIDTH = 32

/** How a store is, as text: the verdicts, then everything found with what to do about it. */
export function renderDiagnosis(result: DoctorResult): string {
  const { bucket, scheme, manifest_issues: issues = [], findings } = result
  const lines = [
    `Checking bucket: ${escapeText(`${scheme}${bucket}`)}`,
    '',
    verdict('Checking layout structure...', result.layout_ok ? 'OK' : 'issues found'),
    verdict('Checking config (s3lo.yaml)...', configVerdict(result)),
    verdict(
      'Checking manifest integrity...',
      issues.length > 0 ? `${issues.length} issue(s)` : 'OK',
    ),
    ...issues.flatMap(renderIssue),
    verdict('Checking for orphaned blobs...', orphanVerdict(result)),
    ...renderVerified(result),
    '',
    ...findings.filter((finding) => !isShown(finding, issues)).flatMap(renderFinding),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function verdict(label: string, text: string): string {
  return `${padEnd(label, LABEL_WIDTH)}${text}`
}

function configVerdict({ config_ok, config_present }: DoctorResult): string {
  if (!config_present) return 'not configured (optional)'
  return config_ok ? 'OK' : 'issues found'
}

function orphanVerdict({ orphaned_blobs, orphaned_bytes, ...of }: DoctorResult): string {
  const { orphaned_chunks: chunks = 0, orphaned_chunk_bytes: bytes = 0 } = of
  const found = [
    ...(orphaned_blobs > 0 ? [`${orphaned_blobs} blobs (${formatSize(orphaned_bytes)})`] : []),
    ...(chunks > 0 ? [`${chunks} chunks (${formatSize(bytes)})`] : []),
  ]
  return found.length > 0 ? found.join(', ') : 'none'
}

function renderIssue({ image, message, hint }: ManifestIssue): readonly string[] {
  return [`  ✗ ${escapeText(image)} — ${escapeText(message)}`, `    ${escapeText(hint)}`]
}

function renderVerified({ verified_blobs, verified_bytes = 0 }: DoctorResult): readonly string[] {
  if (verified_blobs === undefined) return []
  return [
    verdict('Hashing content again...', `${verified_blobs} blobs (${formatSize(verified_bytes)})`),
  ]
}

/** The issues of images are findings too, and stand above already. */
function isShown({ message }: Finding, issues: readonly ManifestIssue[]): boolean {
  return issues.some((issue) => message === `${issue.image}: ${issue.message}`)
}

function renderFinding({ severity, message, hint }: Finding): readonly string[] {
  const line = `${MARK[severity]} ${escapeText(message)}`
  return hint === undefined ? [line] : [line, `  ${escapeText(hint)}`]
}
