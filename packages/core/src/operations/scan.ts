import type { CallOptions } from '../contract/call-options.ts'
import type { AttachPlace } from '../contract/image-target.ts'
import type { Scanner, ScanTarget, Severity } from '../contract/scanner.ts'
import { S3loError } from '../errors.ts'
import { readPlatform } from '../graph/read-manifest.ts'
import { selectRoot } from '../graph/select.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import { type ManifestDocument } from '../oci/document.ts'
import { formatPlatform, parsePlatform } from '../oci/platform.ts'
import type { ImageStore } from '../store/image-store.ts'
import { attachArtifact } from './attach-artifact.ts'
import { withImageLayout } from './image-layout.ts'
import type { OperationOptions } from './options.ts'

interface LookOptions extends OperationOptions {
  /** `os/arch[/variant]`; default the host's, as pull has it. */
  readonly platform?: string | undefined
  /** Whether the document is attached to the platform's manifest, as a referrer. */
  readonly attach?: boolean | undefined
}

export interface ScanImageOptions extends LookOptions {
  readonly severities?: readonly Severity[] | undefined
  /** A format of the scanner's; default its table. */
  readonly format?: string | undefined
}

export interface SbomImageOptions extends LookOptions {
  /** Default `cyclonedx`. */
  readonly format?: string | undefined
}

/** What was looked into; field names are those of `--output json`. */
interface Looked {
  readonly ref: string
  /** Of the platform's manifest. */
  readonly digest: string
  readonly platform: string
  readonly scanner: string
  /** The digest of the referrer, when the document was attached. */
  readonly attached?: string
}

export interface ScanResult extends Looked {
  readonly findings: boolean
  readonly format: string
  readonly report: string
}

export interface SbomResult extends Looked {
  readonly format: string
  readonly sbom: string
}

/** The media types that formats are attached under; what has none here cannot be attached. */
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  json: 'application/vnd.s3lo.scan.v1+json',
  sarif: 'application/sarif+json',
  cyclonedx: 'application/vnd.cyclonedx+json',
  'spdx-json': 'application/spdx+json',
  spdx: 'text/spdx',
}

/** Looks for known vulnerabilities in one platform of an image. Nothing is left on disk. */
export async function scan(
  store: ImageStore,
  reference: StoreReference,
  scanner: Scanner,
  { format = 'table', severities, ...options }: ScanImageOptions = {},
): Promise<ScanResult> {
  if (options.attach) mediaTypeOf(format)
  const { looked, place, outcome } = await look(store, reference, scanner, options, (target) =>
    scanner.scan(target, { ...options, severities, format }),
  )
  const attached = await attachDocument(store, place, format, outcome.report, options)
  return {
    ...looked,
    findings: outcome.hasFindings,
    format,
    report: outcome.report,
    ...attached,
  }
}

/** Lists what one platform of an image is made of. Nothing is left on disk. */
export async function sbom(
  store: ImageStore,
  reference: StoreReference,
  scanner: Scanner,
  { format = 'cyclonedx', ...options }: SbomImageOptions = {},
): Promise<SbomResult> {
  if (options.attach) mediaTypeOf(format)
  const { looked, place, outcome } = await look(store, reference, scanner, options, (target) =>
    scanner.sbom(target, { ...options, format }),
  )
  return {
    ...looked,
    format,
    sbom: outcome,
    ...(await attachDocument(store, place, format, outcome, options)),
  }
}

async function look<T>(
  store: ImageStore,
  reference: StoreReference,
  scanner: Scanner,
  options: LookOptions,
  use: (target: ScanTarget) => Promise<T>,
): Promise<{ readonly looked: Looked; readonly place: AttachPlace; readonly outcome: T }> {
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const root = await store.read(reference, options)
  const manifest = await selectRoot(store, root, { kind: 'run', platform }, options)
  const name = formatReference(reference)
  const looked = {
    ref: name,
    digest: manifest.descriptor.digest,
    platform: await platformOf(store, manifest, options),
    scanner: scanner.name,
  }
  const content = { name, manifest, source: store, backend: store.backend }
  const place = { repository: reference.name, subject: manifest.descriptor }
  return { looked, place, outcome: await withImageLayout(content, use, options) }
}

async function platformOf(
  store: ImageStore,
  { descriptor, manifest }: ManifestDocument,
  options: CallOptions,
): Promise<string> {
  if (descriptor.platform) return formatPlatform(descriptor.platform)
  if (manifest.kind !== 'manifest') return formatPlatform(undefined)
  return formatPlatform(await readPlatform(store, manifest.config, options))
}

async function attachDocument(
  store: ImageStore,
  place: AttachPlace,
  format: string,
  text: string,
  { attach = false, signal }: LookOptions,
): Promise<{ readonly attached?: string }> {
  if (!attach) return {}
  const mediaType = mediaTypeOf(format)
  const content = new TextEncoder().encode(text)
  return { attached: await attachArtifact(store, place, { mediaType, content }, { signal }) }
}

function mediaTypeOf(format: string): string {
  const mediaType = Object.hasOwn(MEDIA_TYPES, format) ? MEDIA_TYPES[format] : undefined
  if (mediaType !== undefined) return mediaType
  throw new S3loError('USAGE', `a report in the format ${format} cannot be attached`, {
    hint: `--format ${Object.keys(MEDIA_TYPES).join(', ')} can`,
  })
}
