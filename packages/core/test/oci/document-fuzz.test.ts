import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isS3loError } from '../../src/errors.ts'
import { parseImageConfig } from '../../src/oci/config.ts'
import { isDigest } from '../../src/oci/digest.ts'
import {
  asDescriptor,
  isIndexContent,
  parseDocument,
  parseManifest,
  successors,
} from '../../src/oci/document.ts'
import { content, descriptor, value } from './document-arbitraries.ts'

/** The result, or `undefined` for an error that is ours. Any other error passes. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (isS3loError(error, 'INTEGRITY') || isS3loError(error, 'UNSUPPORTED')) return undefined
    throw error
  }
}

describe('foreign documents', () => {
  it('are read or refused with an error of ours, and what is read can be trusted', () => {
    let read = 0
    fc.assert(
      fc.property(content, (bytes) => {
        const index = isIndexContent(bytes)
        const manifest = attempt(() => parseManifest(bytes, 'fuzz'))
        if (!manifest) return
        read++
        expect(manifest.kind === 'index').toBe(index)
        expect(parseDocument(bytes, 'fuzz').descriptor.mediaType).toBe(manifest.mediaType)
        for (const { digest, size, mediaType } of successors(manifest)) {
          expect(isDigest(digest)).toBe(true)
          expect(Number.isSafeInteger(size) && size >= 0).toBe(true)
          expect(typeof mediaType).toBe('string')
        }
      }),
      // A fixed seed: how many of them can be read must not depend on the day.
      { numRuns: 5000, seed: 20_261_121 },
    )
    expect(read).toBeGreaterThan(10)
  })

  it('are image configs or refused with an error of ours', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        const config = attempt(() => parseImageConfig(bytes, 'fuzz'))
        if (config) expect(config.diffIds.every(isDigest)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('hold descriptors or are refused with an error of ours', () => {
    fc.assert(
      fc.property(fc.oneof(value, descriptor, fc.anything()), (any) => {
        attempt(() => asDescriptor(any, 'fuzz'))
      }),
      { numRuns: 2000 },
    )
  })
})
