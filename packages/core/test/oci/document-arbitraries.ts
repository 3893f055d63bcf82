import * as fc from 'fast-check'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'

const DIGEST = `sha256:${'0'.repeat(64)}`

/** JSON that looks enough like a document to get past the first checks. */
export const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
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

/** Mostly descriptors. */
export const descriptor = mostly(
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
export const content: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  json,
  fc.tuple(json, fc.nat(), fc.nat(255)).map(([bytes, at, byte]) => {
    const changed = Uint8Array.from(bytes)
    if (changed.length > 0) changed[at % changed.length] = byte
    return changed
  }),
)
