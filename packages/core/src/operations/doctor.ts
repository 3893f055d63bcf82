import type { BucketConfig } from '../config/bucket-config.ts'
import { readConfigDocument } from '../config/edit-config.ts'
import { unknownKeys } from '../config/unknown-keys.ts'
import { isWellFormed } from '../config/glob.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { WrongIndex } from '../contract/layer-reader.ts'
import type { Finding, StorageBackend } from '../contract/storage-backend.ts'
import { documentationOf } from '../documentation.ts'
import { isS3loError } from '../errors.ts'
import type { Participant } from '../gc/participants.ts'
import type { ImageStore } from '../store/image-store.ts'
import {
  type GuaranteeReport,
  type GuaranteeState,
  probeEndpoint,
  type ProbeOptions,
  UNTESTED_ENDPOINT,
} from './doctor-endpoint.ts'
import { judgeChunks, sumGarbage } from './doctor-chunk-garbage.ts'
import { checkImages, type CheckOptions, type ImagesReport } from './doctor-images.ts'
import type { ManifestIssue } from './manifest-issue.ts'
import { checkFiles, type FileIssue } from './doctor-files.ts'
import { type EntryIssue, repairEntries } from './doctor-referrers.ts'
import { checkLayerIndexes } from './doctor-indexes.ts'
import type { NamedLayerReader } from './image-files.ts'
import { formatStore, formatTag } from '../layout/format-store.ts'
import { findParticipants } from './doctor-participants.ts'
import { diagnose, findInterruptedUploads, type InterruptedUploads } from './provider-findings.ts'
import type { UntaggedFigures } from './untagged.ts'

export interface DoctorOptions extends Omit<CheckOptions, 'onFile'>, ProbeOptions {
  /** False leaves the endpoint untested: nothing is written then. */
  readonly probe?: boolean | undefined
  /** Makes the entries that list referrers what their records say. */
  readonly repair?: boolean | undefined
  /** Compares indexes of layers, when content is hashed again. */
  readonly reader?: NamedLayerReader | undefined
}

/** How a store is; field names are those of `--output json`. */
export interface DoctorResult {
  readonly bucket: string
  /** With `://`. */
  readonly scheme: string
  /** Something is there that is laid out as a store. */
  readonly layout_ok: boolean
  /** `s3lo.yaml` is valid or absent. */
  readonly config_ok: boolean
  readonly config_present: boolean
  readonly manifest_issues?: readonly ManifestIssue[]
  /** Histories, signature records, referrers and tables of contents that cannot be used. */
  readonly file_issues?: readonly FileIssue[]
  /** Entries that list referrers and were made again or removed, when asked for. */
  readonly repaired_entries?: number
  /**
   * Whole tags (`image:tag`) that an engine can pull and that cannot be copied: a layer is stored in
   * chunks, and another encoder had stored one of them before.
   */
  readonly recoded_tags?: readonly string[]
  /** Tags (`image:tag`) of layout v1.0.0. */
  readonly legacy_tags?: readonly string[]
  /** Blobs that no tag and no untagged image needs, of the whole bucket. */
  readonly orphaned_blobs: number
  readonly orphaned_bytes: number
  /** Chunks that no layer of an image needs, of the whole bucket; absent where there are none. */
  readonly orphaned_chunks?: number
  readonly orphaned_chunk_bytes?: number
  /** What untagged images hold, and until when; absent where there is none. */
  readonly untagged?: UntaggedFigures
  /** Absent where the store has no such thing or does not tell. */
  readonly interrupted_uploads?: InterruptedUploads
  /** Of S3, where it may be looked at. */
  readonly intelligent_tiering?: 'enabled' | 'not configured'
  /** How far the store's clock is ahead of this machine's (milliseconds); absent when untested. */
  readonly clock_skew_ms?: number
  readonly guarantees: GuaranteeReport
  /** What pushes and copies say they are about to use. */
  readonly pins: readonly Participant[]
  /** What cleans say they are about to delete. */
  readonly rounds: readonly Participant[]
  /** What was hashed again, when asked for. */
  readonly verified_blobs?: number
  readonly verified_bytes?: number
  /** Indexes of layers that were compared with their layers, when content was hashed again. */
  readonly compared_indexes?: number
  /** Those that are not what their layer is; absent when there are none. */
  readonly wrong_indexes?: readonly WrongIndex[]
  /** Everything above in words, with the next thing to type. */
  readonly findings: readonly Finding[]
  /** An image is broken. */
  readonly broken: boolean
  /** No image is broken, no index is wrong, no file beside one is damaged, there is a store, and its configuration is valid. */
  readonly ok: boolean
}

/**
 * Checks a store: its layout, its configuration, that everything its tags name is there (below an
 * image-name filter, empty or ending in `/`), and what its endpoint really does. A verdict is the
 * result; what keeps the check itself from an answer is thrown.
 */
export async function doctor(
  store: ImageStore,
  filter = '',
  { deep, probe = true, repair = false, reader, now, signal, onProgress }: DoctorOptions = {},
): Promise<DoctorResult> {
  const { backend } = store
  const config = await checkConfig(backend, { signal })
  const besideTags: string[] = []
  const onFile = (key: string): void => void besideTags.push(key)
  const images = await checkImages(store, filter, { deep, onFile, signal, onProgress })
  const { layers } = images
  const indexes =
    layers && (await checkLayerIndexes(backend, layers, reader, { signal, onProgress }))
  const wrong = indexes?.wrong ?? []
  const repaired = repair ? await repairEntries(store, images.recordIssues, { signal }) : undefined
  const left = repair ? images.recordIssues.filter(isNoEntry) : images.recordIssues
  const files = [
    ...left.map(toFileIssue),
    ...images.tableIssues,
    ...(await checkFiles(backend, filter, besideTags, { signal })),
  ]
  const { recodedTags, legacyTags } = images
  const uploads = await findInterruptedUploads(backend, { now, signal })
  const participants = await findParticipants(backend, { now, signal })
  const endpoint = probe ? await probeEndpoint(backend, { now, signal }) : UNTESTED_ENDPOINT
  const provider = await diagnose(backend, { signal })
  const tiering = provider.find((finding) => finding.tiering)?.tiering
  const layoutOk = images.tags > 0 || images.blobs > 0
  const broken = images.issues.length > 0
  const garbage = sumGarbage(images.chunks)
  return {
    bucket: backend.bucket,
    scheme: `${backend.scheme}://`,
    layout_ok: layoutOk,
    config_ok: config.ok,
    config_present: config.present,
    ...(broken ? { manifest_issues: images.issues } : {}),
    ...(files.length > 0 ? { file_issues: files } : {}),
    ...(repaired === undefined ? {} : { repaired_entries: repaired }),
    ...(recodedTags.length > 0 ? { recoded_tags: recodedTags } : {}),
    ...(legacyTags.length > 0 ? { legacy_tags: legacyTags } : {}),
    orphaned_blobs: images.orphans.count,
    orphaned_bytes: images.orphans.bytes,
    ...(garbage.count > 0
      ? { orphaned_chunks: garbage.count, orphaned_chunk_bytes: garbage.bytes }
      : {}),
    ...(images.untagged ? { untagged: images.untagged } : {}),
    ...(uploads.found ? { interrupted_uploads: uploads.found } : {}),
    ...(tiering ? { intelligent_tiering: tiering } : {}),
    ...(endpoint.clockSkewMs === undefined ? {} : { clock_skew_ms: endpoint.clockSkewMs }),
    guarantees: endpoint.guarantees,
    pins: participants.pins,
    rounds: participants.rounds,
    ...(images.verified
      ? { verified_blobs: images.verified.count, verified_bytes: images.verified.bytes }
      : {}),
    ...(indexes ? { compared_indexes: indexes.compared } : {}),
    ...(wrong.length > 0 ? { wrong_indexes: wrong } : {}),
    findings: [
      ...judgeLayout(backend, layoutOk),
      ...config.findings,
      ...judgeConfig(backend, config.config, endpoint.guarantees),
      ...judgeImages(backend, images),
      ...judgeChunks(backend, images, config.config),
      ...(indexes?.findings ?? []),
      ...files.map(({ message, hint }): Finding => ({ severity: 'problem', message, hint })),
      ...judgeRepair(repaired),
      ...participants.findings,
      ...uploads.findings,
      ...endpoint.findings,
      ...provider.map(toDocument),
    ],
    broken,
    ok: layoutOk && config.ok && !broken && wrong.length === 0 && files.length === 0,
  }
}

function isNoEntry(issue: FileIssue | EntryIssue): boolean {
  return !('referrer' in issue)
}

/** What a repair works with is left out. */
function toFileIssue({ key, message, hint }: FileIssue): FileIssue {
  return { key, message, hint }
}

function judgeRepair(repaired: number | undefined): readonly Finding[] {
  if (repaired === undefined) return []
  const message =
    repaired === 0
      ? 'no list of referrers needed repair'
      : `${repaired} entries of referrers were made again or removed`
  return [{ severity: 'ok', message }]
}

/** What has a field of its own is left out. */
function toDocument({ severity, message, hint }: Finding): Finding {
  return { severity, message, ...(hint === undefined ? {} : { hint }) }
}

interface ConfigReport {
  readonly ok: boolean
  readonly present: boolean
  readonly findings: readonly Finding[]
  /** Where it is valid. */
  readonly config?: BucketConfig
}

async function checkConfig(backend: StorageBackend, options: CallOptions): Promise<ConfigReport> {
  const ref = formatStore(backend)
  try {
    const { document, etag } = await readConfigDocument(backend, options)
    if (etag !== undefined) {
      const valid: Finding = { severity: 'ok', message: 's3lo.yaml is valid' }
      const findings = [valid, ...judgeUnknown(unknownKeys(document))]
      return { ok: true, present: true, findings, config: document.config }
    }
    const message = 's3lo.yaml is not there: no tag is immutable and none expires'
    const hint = `s3lo init ${ref}`
    return { ok: true, present: false, findings: [{ severity: 'notice', message, hint }] }
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY')) throw error
    const hint = `correct the file, then look at it with s3lo config get ${ref}`
    const finding: Finding = { severity: 'problem', message: error.message, hint }
    return { ok: false, present: true, findings: [finding] }
  }
}

/** The owner of these keys is unknown; a typing error is the likeliest. */
function judgeUnknown(keys: readonly string[]): readonly Finding[] {
  if (keys.length === 0) return []
  const shown = keys.slice(0, MAX_UNKNOWN).map((key) => JSON.stringify(key.slice(0, 200)))
  const more = keys.length > MAX_UNKNOWN ? ` and ${keys.length - MAX_UNKNOWN} more` : ''
  return [
    {
      severity: 'notice',
      message: `s3lo.yaml has keys that are no settings and do nothing: ${shown.join(', ')}${more}`,
      hint: `check the spelling: the settings are in ${documentationOf('commands/config-set.md')}`,
    },
  ]
}

/** How many unknown keys are named. */
const MAX_UNKNOWN = 5

/** How many tags are named one by one. */
const MAX_NAMED = 20

const RACE = 's3lo looks before it writes, but two writers at the same moment both succeed'

/** How far an immutable tag is safe from s3lo itself, by what became of create-only writes. */
const KEPT: Readonly<Record<GuaranteeState, string>> = {
  enforced: 'no s3lo overwrites or deletes one, and the store decides between two that create it',
  untested: 'no s3lo overwrites or deletes one',
  none: RACE,
  broken: RACE,
}

function judgeConfig(
  backend: StorageBackend,
  config: BucketConfig | undefined,
  guarantees: GuaranteeReport,
): readonly Finding[] {
  if (!config) return []
  const findings: Finding[] = []
  for (const pattern of Object.keys(config.images)) {
    if (isWellFormed(pattern)) continue
    findings.push({
      severity: 'notice',
      message: `the pattern ${JSON.stringify(pattern)} in s3lo.yaml matches no image`,
      hint: `s3lo config remove ${JSON.stringify(formatStore(backend, pattern))}`,
    })
  }
  const immutable = [config.default, ...Object.values(config.images)].some((s) => s.immutable)
  if (immutable) {
    findings.push({
      severity: 'notice',
      message: `immutable tags are kept by clients: ${KEPT[guarantees.create_only]}; other programs can overwrite them`,
      hint: `settings of the bucket that bind everyone: ${documentationOf('immutability.md')}`,
    })
  }
  return findings
}

function judgeLayout(backend: StorageBackend, layoutOk: boolean): readonly Finding[] {
  if (layoutOk) return [{ severity: 'ok', message: 'the layout is that of a store' }]
  const hint = `push an image, or prepare the store: s3lo init ${formatStore(backend)}`
  return [{ severity: 'problem', message: 'there is no image and no blob here', hint }]
}

function judgeImages(backend: StorageBackend, report: ImagesReport): readonly Finding[] {
  const { tags, issues, orphans, recodedTags, legacyTags, unreadable } = report
  const findings: Finding[] = issues.map(({ image, message, hint }) => ({
    severity: 'problem',
    message: `${image}: ${message}`,
    hint,
  }))
  if (issues.length === 0) {
    const whole = tags - recodedTags.length
    findings.push({ severity: 'ok', message: `${whole} tags are whole` })
  }
  if (orphans.count > 0) {
    const doubt = unreadable > 0 ? ' (what unreadable manifests name among them)' : ''
    findings.push({
      severity: 'notice',
      message: `${orphans.count} blobs of ${orphans.bytes} bytes belong to no image${doubt}`,
      hint: `s3lo clean ${formatStore(backend)} --blobs shows them, with --confirm removes those that no push still needs`,
    })
  }
  if (report.untagged) findings.push({ severity: 'ok', message: describeUntagged(report.untagged) })
  for (const image of recodedTags.slice(0, MAX_NAMED)) {
    const message = `${image} can be pulled into an engine, and not be copied: another encoder stored chunks of its layers`
    const hint = 'push it again with s3lo'
    findings.push({ severity: 'notice', message, hint })
  }
  if (recodedTags.length > MAX_NAMED) {
    const message = `${recodedTags.length - MAX_NAMED} more tags have layers whose chunks another encoder stored`
    findings.push({ severity: 'notice', message })
  }
  const [old] = legacyTags
  if (old !== undefined) {
    const colon = old.lastIndexOf(':')
    const ref = formatTag(backend, old.slice(0, colon), old.slice(colon + 1))
    const message = `${legacyTags.length} tags are in the old layout 1.0.0, which shares nothing between tags: ${old}`
    const hint = `a copy onto itself brings one to the present layout: s3lo copy ${ref} ${ref}`
    findings.push({ severity: 'notice', message, hint })
  }
  return findings
}

function describeUntagged({
  images,
  bytes,
  last_expires_at: last,
  kept_forever: forever = 0,
}: UntaggedFigures): string {
  const what = `${images} untagged images, which alone need ${bytes} bytes, stay pullable by digest`
  const until = last === undefined ? '' : ` until ${last} at the latest`
  return `${what}${until}${forever > 0 ? `, ${forever} of them for ever` : ''}`
}
