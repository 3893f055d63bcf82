import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import { S3loError } from '../errors.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { assertDepth, type ManifestDocument } from '../oci/document.ts'
import { orImageFault } from './image-fault.ts'

const READS_AT_ONCE = 10

/** Manifests of one image together may not exceed this (bytes). */
export const MAX_GRAPH_BYTES = 64 * 1024 * 1024

/** A manifest below the roots of a walk, met once however many indexes name it. */
export interface MetManifest {
  /** Of the entry that was met first. */
  readonly descriptor: Descriptor
  /** The manifest, or what is wrong with it: `NOT_FOUND` for one that is not there. */
  readonly found: ManifestDocument | S3loError
}

export interface WalkOptions extends CallOptions {
  /** Default: 10. */
  readonly readsAtOnce?: number | undefined
  /** Gets the manifests of a level before they are read. */
  readonly onLevel?: ((level: readonly Descriptor[]) => void) | undefined
}

/** Reads a manifest, verified; `undefined` when it is not there. */
export type ReadManifest = (
  descriptor: Descriptor,
  options: CallOptions,
) => Promise<ManifestDocument | undefined>

/**
 * Reads manifests, and level by level those below them that `visit` returns: each digest once, several
 * at once. `visit` gets a manifest when it has been read, in any order within a level. One that is
 * damaged, missing, refused or nested too deep is a value; a store that does not answer is thrown.
 */
export async function walkManifests(
  read: ReadManifest,
  start: Iterable<Descriptor>,
  visit: (met: MetManifest) => Iterable<Descriptor>,
  { readsAtOnce = READS_AT_ONCE, onLevel, signal: outer }: WalkOptions = {},
): Promise<void> {
  const seen = new Set<string>()
  const isNew = ({ digest }: Descriptor): boolean => !seen.has(digest) && Boolean(seen.add(digest))
  let level = [...start].filter(isNew)
  for (let depth = 1; level.length > 0; depth++) {
    const next: Descriptor[] = []
    onLevel?.(level)
    await forEachConcurrent(
      level,
      readsAtOnce,
      async (descriptor, signal) => {
        const found = await orImageFault(async () => {
          assertDepth(depth)
          return (await read(descriptor, { signal })) ?? missing(descriptor)
        })
        for (const child of visit({ descriptor, found })) if (isNew(child)) next.push(child)
      },
      outer,
    )
    level = next
  }
}

/**
 * An `onLevel` for a walk that holds all manifests below a root. It throws `INTEGRITY` before more than
 * {@link MAX_GRAPH_BYTES} are read, the root among them.
 */
export function boundedLevels(root: ManifestDocument): (level: readonly Descriptor[]) => void {
  let held = root.content.byteLength
  return (level) => {
    for (const { size } of level) held += size
    if (held <= MAX_GRAPH_BYTES) return
    throw new S3loError('INTEGRITY', `the image's manifests exceed ${MAX_GRAPH_BYTES} bytes`)
  }
}

function missing({ digest }: Descriptor): S3loError {
  return new S3loError('NOT_FOUND', `manifest ${digest} is missing`)
}
