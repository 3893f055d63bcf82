import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isS3loError } from '../src/errors.ts'
import { parseImageConfig } from '../src/oci/config.ts'
import { isDigest } from '../src/oci/digest.ts'
import {
  asDescriptor,
  isIndexContent,
  mediaTypeOf,
  parseManifest,
  successors,
} from '../src/oci/document.ts'
import { MEDIA_TYPE } from '../src/oci/media-type.ts'

const DIGEST = `sha256:${'0'.repeat(64)}`

/** JSON that looks enough like a document to get past the first checks. */
const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom<unknown>(
      null,
      true,
      0,
      1,
      2,
      -1,
      0.5,
      1e300,
      '',
      DIGEST,
      'sha256:',
      ':',
      'linux',
    ),
    fc.constantFrom<unknown>(...Object.values(MEDIA_TYPE)),
    fc.string({ unit: 'binary', maxLength: 10 }),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(
    fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'manifests',
      'digest',
      'size',
      'platform',
      'annotations',
      'subject',
      'artifactType',
      'os',
      'architecture',
      'variant',
      'rootfs',
      'diff_ids',
      '__proto__',
      'constructor',
      'toString',
    ),
    tie('value'),
    { maxKeys: 8 },
  ),
})).value

/** Mostly what belongs in a place, now and then anything. */
const mostly = (expected: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 30, arbitrary: expected }, value)

const mediaType = mostly(fc.constantFrom(...Object.values(MEDIA_TYPE)))
const annotations = mostly(fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }))
const platform = mostly(fc.record({ os: mostly(fc.string()), architecture: mostly(fc.string()) }))

const descriptor = mostly(
  fc.record(
    {
      mediaType,
      digest: mostly(fc.constant(DIGEST)),
      size: mostly(fc.nat()),
      platform,
      annotations,
    },
    { requiredKeys: ['digest', 'size'] },
  ),
)

const document = fc.record(
  {
    schemaVersion: mostly(fc.constant(2)),
    mediaType,
    config: descriptor,
    layers: mostly(fc.array(descriptor, { maxLength: 3 })),
    manifests: mostly(fc.array(descriptor, { maxLength: 3 })),
    subject: descriptor,
    annotations,
  },
  { requiredKeys: ['schemaVersion'] },
)

const json = fc
  .oneof(document, value, fc.jsonValue())
  .map((content) => Buffer.from(JSON.stringify(content) ?? ''))

/** Any bytes, documents, and documents with one byte changed. */
const content: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  json,
  fc.tuple(json, fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
    const changed = Uint8Array.from(bytes)
    if (changed.length > 0) changed[at % changed.length] = byte
    return changed
  }),
)

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
        expect(mediaTypeOf(bytes, 'fuzz')).toBe(manifest.mediaType)
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
