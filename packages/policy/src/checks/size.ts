import { planGraph } from '@s3lo/core'
import {
  type PolicyCheckOptions,
  type PolicyRule,
  type PolicySubject,
  type PolicyVerdict,
  S3loError,
} from '@s3lo/core/plugin'

/**
 * Passes when the configs and layers of all platforms, a shared one counted each time, are no more
 * than `max_bytes`. Throws what reading a manifest throws: an image that cannot be read is not small.
 */
export async function checkPolicy(
  { name, maxBytes }: PolicyRule,
  { source, root }: PolicySubject,
  { signal }: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  if (maxBytes === undefined) {
    throw new S3loError('USAGE', `policy ${name}: the check size needs max_bytes`)
  }
  const { logicalSize } = await planGraph(source, root, { signal })
  if (logicalSize <= maxBytes) return { passed: true }
  return { passed: false, message: `${logicalSize} bytes, the limit is ${maxBytes}` }
}
