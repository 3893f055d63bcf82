import {
  type PolicyCheckOptions,
  type PolicyRule,
  type PolicySubject,
  type PolicyVerdict,
  S3loError,
} from '@s3lo/core/plugin'

const DAY_MS = 24 * 60 * 60 * 1000

/**
 * Passes when the tag was last written no more than `max_days` whole days ago: 0 means less than a
 * day. An image without a record of its last write fails.
 */
export function checkPolicy(
  { name, maxDays }: PolicyRule,
  { publishedAt }: PolicySubject,
  { now }: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  if (maxDays === undefined) {
    throw new S3loError('USAGE', `policy ${name}: the check age needs max_days`)
  }
  if (publishedAt === undefined) {
    return Promise.resolve({ passed: false, message: 'no push of this tag is recorded' })
  }
  const days = Math.floor((now.getTime() - publishedAt.getTime()) / DAY_MS)
  if (days <= maxDays) return Promise.resolve({ passed: true })
  const message = `pushed ${days} days ago, the limit is ${maxDays}`
  return Promise.resolve({ passed: false, message })
}
