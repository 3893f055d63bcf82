import {
  type ImageSource,
  type ManifestDocument,
  type OpenedSource,
  parseManifest,
  readAll,
  successors,
  toDocument,
} from '@s3lo/core'
import { MemorySink } from './memory-sink.ts'

/** The source, which the test expects to be one that can be read in any order. */
export function randomAccess({ source }: OpenedSource): ImageSource {
  if (source.kind !== 'random-access') throw new Error('expected random access')
  return source
}

/** Reads the whole image, as a copy would, and gives its root. */
export async function readImage(
  opened: OpenedSource,
): Promise<{ root: ManifestDocument; sink: MemorySink }> {
  const sink = new MemorySink()
  if (opened.source.kind === 'streaming') {
    const root = await opened.source.transfer(opened.reference, sink)
    return { root, sink }
  }
  const { source } = opened
  try {
    const descriptor = await source.resolve(opened.reference)
    const content = await readAll(await source.fetch(descriptor), descriptor.size, 'manifest')
    const manifest = parseManifest(content, descriptor.digest)
    for (const blob of successors(manifest)) await sink.put(blob, await source.fetch(blob))
    return { root: toDocument(content, manifest.mediaType), sink }
  } finally {
    await source.close?.()
  }
}
