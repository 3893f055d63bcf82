import type { InspectedLayer, InspectedPlatform, InspectResult } from '@s3lo/core'
import { escapeText, formatMegabytes, formatSize, shortDigest } from './text.ts'

/** How an attestation is named among platforms. */
const ATTESTATION = '(attestation)'

/** An image as text: its layers, or its platforms with theirs and with what attests to them. */
export function renderInspection(image: InspectResult): string {
  const { platforms } = image
  const body = platforms ? renderIndex(platforms) : renderSingle(image)
  const lines = [
    `Reference: ${escapeText(image.reference)}`,
    ...body,
    ...renderSignatures(image),
    ...renderAttachments(image),
  ]
  return `${lines.join('\n')}\n`
}

function renderSingle({ is_index, layers = [], total_size = 0 }: InspectResult): readonly string[] {
  if (is_index) return ['Type:      multi-arch image index (0 platform(s))']
  return [
    'Type:      single-arch image',
    `Layers:    ${layers.length}`,
    `Total:     ${formatMegabytes(total_size)}`,
    '',
    ...renderLayers(layers, '  '),
  ]
}

function renderIndex(entries: readonly InspectedPlatform[]): readonly string[] {
  const attestations = entries.filter(({ platform }) => platform === ATTESTATION)
  const platforms = entries.filter(({ platform }) => platform !== ATTESTATION)
  const counts = [
    `${platforms.length} platform(s)`,
    ...(attestations.length > 0 ? [`${attestations.length} attestation(s)`] : []),
  ]
  const known = new Set(platforms.map(({ digest }) => digest))
  const stray = attestations.filter(({ attestation_for: subject = '' }) => !known.has(subject))
  return [
    `Type:      multi-arch image index (${counts.join(', ')})`,
    '',
    ...platforms.flatMap((entry) => renderPlatform(entry, attestations)),
    ...(stray.length > 0 ? [...stray.map((entry) => `  ${attestationLine(entry)}`), ''] : []),
  ]
}

function renderPlatform(
  { platform, digest, layers = [], total_size }: InspectedPlatform,
  attestations: readonly InspectedPlatform[],
): readonly string[] {
  return [
    `  Platform: ${escapeText(platform)}`,
    `  Digest:   ${shortDigest(digest)}`,
    `  Layers:   ${layers.length}`,
    `  Size:     ${formatMegabytes(total_size)}`,
    ...renderLayers(layers, '    '),
    ...attestations
      .filter(({ attestation_for: subject }) => subject === digest)
      .map((entry) => `    ${attestationLine(entry)}`),
    '',
  ]
}

function attestationLine({ digest, total_size }: InspectedPlatform): string {
  return `Attestation: ${shortDigest(digest)} (${formatSize(total_size)})`
}

function renderLayers(layers: readonly InspectedLayer[], indent: string): readonly string[] {
  return layers.map(({ digest, size, stored_as }, i) => {
    const chunked = stored_as === undefined ? '' : ', stored as chunks'
    return `${indent}[${i + 1}] ${shortDigest(digest)} (${formatMegabytes(size)}${chunked})`
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
      `  ${shortDigest(digest)}  ${escapeText(artifact_type)}  (${formatSize(size)})`,
  )
  return ['', 'Attachments:', ...lines]
}
