import type {
  InspectedArtifact,
  InspectedLayer,
  InspectedPlatform,
  InspectResult,
} from '@s3lo/core'
import { escapeText, formatSize } from './text.ts'

/** How an attestation is named among platforms. */
const ATTESTATION = '(attestation)'

/** An image as text: its layers, or its platforms with theirs and with what attests to them. */
export function renderInspection(image: InspectResult): string {
  const { platforms, artifacts = [] } = image
  const body = platforms ? renderIndex(platforms, artifacts) : renderSingle(image)
  const lines = [
    `Reference: ${escapeText(image.reference)}`,
    `Digest:    ${escapeText(image.digest)}`,
    ...body,
    ...renderSignatures(image),
    ...renderAttachments(image),
  ]
  return `${lines.join('\n')}\n`
}

function renderSingle(image: InspectResult): readonly string[] {
  const { is_index, layers = [], total_size = 0 } = image
  if (is_index) return ['Type:      multi-arch image index (0 platform(s))']
  return [
    'Type:      single-arch image',
    `Layers:    ${layers.length}`,
    `Total:     ${formatSize(total_size)}`,
    ...renderConfig(image, ''),
    '',
    ...renderLayers(layers, '  '),
  ]
}

function renderIndex(
  entries: readonly InspectedPlatform[],
  artifacts: readonly InspectedArtifact[],
): readonly string[] {
  const attestations = entries.filter(({ platform }) => platform === ATTESTATION)
  const platforms = entries.filter(({ platform }) => platform !== ATTESTATION)
  const counts = [
    `${platforms.length} platform(s)`,
    ...(attestations.length > 0 ? [`${attestations.length} attestation(s)`] : []),
    ...(artifacts.length > 0 ? [`${artifacts.length} artifact(s)`] : []),
  ]
  const known = new Set(platforms.map(({ digest }) => digest))
  const stray = attestations.filter(({ attestation_for: subject = '' }) => !known.has(subject))
  return [
    `Type:      multi-arch image index (${counts.join(', ')})`,
    '',
    ...platforms.flatMap((entry) => renderPlatform(entry, attestations)),
    ...(stray.length > 0 ? [...stray.map((entry) => `  ${attestationLine(entry)}`), ''] : []),
    ...(artifacts.length > 0 ? [...artifacts.map(artifactLine), ''] : []),
  ]
}

function renderPlatform(
  image: InspectedPlatform,
  attestations: readonly InspectedPlatform[],
): readonly string[] {
  const { platform, digest, layers = [], total_size } = image
  return [
    `  Platform: ${escapeText(platform)}`,
    `  Digest:   ${escapeText(digest)}`,
    `  Layers:   ${layers.length}`,
    `  Size:     ${formatSize(total_size)}`,
    ...renderConfig(image, '  '),
    ...renderLayers(layers, '    '),
    ...attestations
      .filter(({ attestation_for: subject }) => subject === digest)
      .map((entry) => `    ${attestationLine(entry)}`),
    '',
  ]
}

/** When the image was made and how it is run, a line each for what the config says. */
function renderConfig(
  { created, config = {} }: InspectedPlatform | InspectResult,
  indent: string,
): readonly string[] {
  const { labels = {}, env = [], ...rest } = config
  const width = indent === '' ? 'Reference:'.length : 'Platform:'.length
  const rows: readonly (readonly [title: string, value: string | undefined])[] = [
    ['Created', created],
    ['User', rest.user],
    ['Workdir', rest.working_dir],
    ['Entrypoint', rest.entrypoint && JSON.stringify(rest.entrypoint)],
    ['Cmd', rest.cmd && JSON.stringify(rest.cmd)],
    ['Ports', rest.ports?.join(', ')],
    ['Volumes', rest.volumes?.join(', ')],
    ['Signal', rest.stop_signal],
    ...env.map((variable) => ['Env', variable] as const),
    ...Object.entries(labels).map(([name, value]) => ['Label', `${name}=${value}`] as const),
  ]
  return rows.flatMap(([title, value]) =>
    value === undefined ? [] : [`${indent}${`${title}:`.padEnd(width)} ${escapeText(value)}`],
  )
}

function attestationLine({ digest, total_size }: InspectedPlatform): string {
  return `Attestation: ${escapeText(digest)} (${formatSize(total_size)})`
}

function artifactLine({ digest, artifact_type, platform = '', size }: InspectedArtifact): string {
  const of = platform === '' ? '' : ` of ${platform}`
  const name = KNOWN_ARTIFACTS[artifact_type] ?? artifact_type
  return escapeText(`  ${name}${of}: ${digest} (${formatSize(size)})`)
}

/** What people call them. */
const KNOWN_ARTIFACTS: Readonly<Record<string, string>> = {
  'application/vnd.amazon.soci.index.v2+json': 'SOCI index',
}

function renderLayers(layers: readonly InspectedLayer[], indent: string): readonly string[] {
  return layers.map(({ digest, size, stored_as }, i) => {
    const chunked = stored_as === undefined ? '' : ', stored as chunks'
    return `${indent}[${i + 1}] ${escapeText(digest)} (${formatSize(size)}${chunked})`
  })
}

function renderSignatures({ signatures = [] }: InspectResult): readonly string[] {
  if (signatures.length === 0) return []
  const lines = signatures.map(({ key_id, key_ref, signed_at }) =>
    escapeText(`  ${key_id}  (key: ${key_ref}, signed: ${signed_at})`),
  )
  return ['', 'Signatures:', ...lines]
}

function renderAttachments({ attachments = [] }: InspectResult): readonly string[] {
  if (attachments.length === 0) return []
  const lines = attachments.map(
    ({ digest, artifact_type, size }) =>
      `  ${escapeText(digest)}  ${escapeText(artifact_type)}  (${formatSize(size)})`,
  )
  return ['', 'Attachments:', ...lines]
}
