import { describe, expect, it } from 'vitest'
import { distributionError } from '../../src/oci/distribution-codes.ts'

describe('distributionError', () => {
  it.each([
    ['MANIFEST_UNKNOWN', { status: 404, code: 'NOT_FOUND' }],
    ['DIGEST_INVALID', { status: 400, code: 'INTEGRITY' }],
    ['DENIED', { status: 403, code: 'FORBIDDEN' }],
    ['TOOMANYREQUESTS', { status: 429, code: 'UNAVAILABLE' }],
  ])('gives status and error of %s', (reason, expected) => {
    expect(distributionError(reason)).toEqual(expected)
  })

  it.each(['', 'manifest_unknown', 'PAGINATION_NUMBER_INVALID', 'toString', '__proto__'])(
    'knows nothing of "%s"',
    (reason) => {
      expect(distributionError(reason)).toBeUndefined()
    },
  )
})
