import * as fc from 'fast-check'
import { parseDuration } from '../../src/config/duration.ts'
import { isS3loError } from '../../src/errors.ts'
import { parseSourceEnd } from '../../src/image-end.ts'
import { parseManifestKey } from '../../src/layout/parse-key.ts'
import { formatReference, parseReference } from '../../src/layout/store-reference.ts'
import { parseImageConfig } from '../../src/oci/config.ts'
import { isDigest } from '../../src/oci/digest.ts'
import { isIndexContent, parseManifest, successors } from '../../src/oci/document.ts'
import { formatPlatform, parsePlatform } from '../../src/oci/platform.ts'
import { content } from './document-arbitraries.ts'

/** The result, or `undefined` for an error of ours; any other error is a finding. */
function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch (error) {
    if (isS3loError(error) && error.code !== 'INTERNAL') return undefined
    throw error
  }
}

const piece = fc.oneof(
  fc.constantFrom(
    ...'s3:// local:// oci: docker:// / // . .. : @ sha256: %2f'.split(' '),
    ...'manifests/ /manifest.json linux h \0 \n \\ * é'.split(' '),
    '0'.repeat(64),
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const name = fc.oneof(
  fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join('')),
  fc.tuple(piece, fc.nat(20_000)).map(([text, count]) => text.repeat(count)),
)

/** What `pnpm fuzz` runs, by name. */
export const properties = {
  manifests: fc.property(content, (bytes) => {
    const manifest = attempt(() => parseManifest(bytes, 'fuzz'))
    if (!manifest) return true
    const isWhole = ({ digest, size }: { digest: string; size: number }): boolean =>
      isDigest(digest) && Number.isSafeInteger(size) && size >= 0
    return (
      (manifest.kind === 'index') === isIndexContent(bytes) && successors(manifest).every(isWhole)
    )
  }),
  'image configs': fc.property(content, (bytes) => {
    const config = attempt(() => parseImageConfig(bytes, 'fuzz'))
    return config === undefined || config.diffIds.every(isDigest)
  }),
  'store references': fc.property(name, (text) => {
    const reference = attempt(() => parseReference(text))
    if (!reference) return true
    const again = parseReference(formatReference(reference))
    return formatReference(again) === formatReference(reference)
  }),
  'ends of a copy': fc.property(name, (text) => {
    attempt(() => parseSourceEnd(text, { bareTransport: 'docker' }))
  }),
  'keys of tags': fc.property(name, (key) => {
    attempt(() => parseManifestKey(key))
  }),
  platforms: fc.property(name, (text) => {
    const platform = attempt(() => parsePlatform(text))
    return platform === undefined || formatPlatform(platform).length <= text.length + 32
  }),
  durations: fc.property(name, (text) => {
    const duration = attempt(() => parseDuration(text))
    return duration === undefined || (Number.isFinite(duration) && duration >= 0)
  }),
}
