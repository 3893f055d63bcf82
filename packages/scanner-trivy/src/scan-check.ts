import {
  type PolicyCheckOptions,
  type PolicyRule,
  type PolicySubject,
  type PolicyVerdict,
  S3loError,
  SEVERITIES,
  type Severity,
} from '@s3lo/core/plugin'
import {
  formatPlatform,
  isAttestationPlatform,
  type ManifestDocument,
  planGraph,
  withImageLayout,
} from '@s3lo/core'
import { requireTrivy } from './require-trivy.ts'
import { TrivyScanner } from './trivy-scanner.ts'

/**
 * Passes when Trivy finds nothing of `max_severity` (default: any) or worse in any platform of the
 * image. Attestations are no images and are passed over.
 */
export async function checkPolicy(
  { name, maxSeverity = 'UNKNOWN' }: PolicyRule,
  subject: PolicySubject,
  options: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  const severities = atOrAbove(name, maxSeverity)
  const scanner = new TrivyScanner(await requireTrivy(options), options.env)
  const { source, root } = subject
  const { documents } = await planGraph(source, root, options)
  const failed: string[] = []
  for (const manifest of [root, ...documents].filter(isImage)) {
    const { hasFindings } = await withImageLayout(
      { name: subject.name, manifest, source, backend: source.backend },
      // A document tells whether it is whole; a table does not.
      (target) => scanner.scan(target, { ...options, severities, format: 'json' }),
      options,
    )
    if (hasFindings) failed.push(manifest.descriptor.digest)
  }
  if (failed.length === 0) return { passed: true }
  return {
    passed: false,
    message: `vulnerabilities of ${maxSeverity} or worse in ${failed.join(', ')}`,
  }
}

function atOrAbove(policy: string, severity: string): readonly Severity[] {
  const lowest = SEVERITIES.findIndex((known) => known === severity.toUpperCase())
  if (lowest >= 0) return SEVERITIES.slice(lowest)
  throw new S3loError('USAGE', `policy ${policy}: ${JSON.stringify(severity)} is no severity`, {
    hint: `max_severity takes ${SEVERITIES.join(', ')}`,
  })
}

function isImage({ descriptor, manifest }: ManifestDocument): boolean {
  if (isAttestationPlatform(formatPlatform(descriptor.platform))) return false
  return manifest.kind === 'manifest'
}
