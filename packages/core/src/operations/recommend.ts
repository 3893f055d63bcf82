import type { BucketConfig, ImageSettings } from '../config/bucket-config.ts'
import { readConfigDocument } from '../config/edit-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { type StorageBackend, supports } from '../contract/storage-backend.ts'
import { formatStore } from '../layout/format-store.ts'
import { diagnose, findInterruptedUploads } from './provider-findings.ts'

/** Something about the bucket as it is; field names are those of `--output json`. */
export interface BucketFinding {
  readonly label: string
  readonly ok: boolean
}

/** Something to do about it. */
export interface Recommendation {
  readonly title: string
  /** The next thing to type or to change. */
  readonly description: string
}

/** How a bucket could be kept better; field names are those of `--output json`. */
export interface RecommendResult {
  readonly bucket: string
  readonly findings: readonly BucketFinding[]
  readonly recommendations: readonly Recommendation[]
}

export interface RecommendOptions extends CallOptions {
  /** This machine's clock. */
  readonly now?: (() => Date) | undefined
}

/**
 * Looks at what makes a bucket dear or grow without end: the provider's settings (versioning,
 * lifecycle rules, tiering: as the backend knows them), interrupted uploads, missing retention.
 * Nothing is changed. Throws `INTEGRITY` when `s3lo.yaml` is not valid.
 */
export async function recommend(
  backend: StorageBackend,
  options: RecommendOptions = {},
): Promise<RecommendResult> {
  const report = new Report()
  await addProvider(report, backend, options)
  await addUploads(report, backend, options)
  const { document } = await readConfigDocument(backend, options)
  addRetention(report, backend, document.config)
  const { findings, recommendations } = report
  return { bucket: backend.bucket, findings, recommendations }
}

class Report {
  readonly findings: BucketFinding[] = []
  readonly recommendations: Recommendation[] = []

  good(label: string): void {
    this.findings.push({ label, ok: true })
  }

  bad(label: string, title: string, description: string): void {
    this.findings.push({ label, ok: false })
    this.recommendations.push({ title, description })
  }
}

async function addProvider(
  report: Report,
  backend: StorageBackend,
  options: CallOptions,
): Promise<void> {
  for (const { severity, message, hint } of await diagnose(backend, options)) {
    if (severity === 'ok') report.good(message)
    // Without a hint there is nothing to do about it.
    else if (hint === undefined) report.findings.push({ label: message, ok: false })
    else report.bad(message, message, hint)
  }
}

async function addUploads(
  report: Report,
  backend: StorageBackend,
  options: RecommendOptions,
): Promise<void> {
  if (!supports(backend, 'abandonedUploads')) return
  const { found, findings } = await findInterruptedUploads(backend, options)
  if (found?.count === 0) report.good('no interrupted uploads')
  for (const { message, hint } of findings) {
    if (hint === undefined) report.findings.push({ label: message, ok: false })
    else report.bad(message, 'remove interrupted uploads', hint)
  }
}

function addRetention(report: Report, backend: StorageBackend, config: BucketConfig): void {
  const ref = formatStore(backend)
  if ([config.default, ...Object.values(config.images)].some(hasRules)) {
    report.good('retention is set in s3lo.yaml')
    report.recommendations.push({
      title: 'clean every night',
      description: `run it by cron: 0 2 * * * s3lo clean ${ref} --confirm`,
    })
    return
  }
  report.bad(
    'no retention is set: tags stay for ever',
    'set how many tags to keep, and how long',
    `s3lo config set ${ref} lifecycle.keep_last=10 lifecycle.max_age=90d`,
  )
}

/** `keep_tags` and the mode alone remove nothing. */
function hasRules({ lifecycle }: ImageSettings): boolean {
  return lifecycle?.keepLast !== undefined || lifecycle?.maxAge !== undefined
}
