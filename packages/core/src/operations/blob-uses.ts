import { type Descriptor, isForeignLayer } from '../oci/descriptor.ts'
import type { Manifest } from '../oci/document.ts'
import { isManifestMediaType } from '../oci/media-type.ts'
import { formatPlatform } from '../oci/platform.ts'
import { DigestTable } from './digest-table.ts'

const ROLES = ['config', 'layer', 'blob'] as const

/** What a blob is to the manifest that names it. */
type BlobRole = (typeof ROLES)[number]

/** What can be wrong with a blob. */
export type BlobFault = 'missing' | 'damaged' | 'unreadable'

/** Content that a manifest names. */
export interface BlobUse {
  /** Its number in the table of digests. */
  readonly content: number
  /** Bytes, as the manifest says. */
  readonly size: number
  readonly role: BlobRole
  readonly platform?: string | undefined
}

/** What is known of every digest that some manifest names, by its number. */
export class Contents {
  readonly table = new DigestTable()
  readonly problems = new Map<number, BlobFault>()
  /** What is stored in chunks, of either format. */
  readonly chunked = new Set<number>()
  /** Bytes of the tables of contents of layers. */
  readonly tables = new Map<number, number>()
  /** What is wrong with tables. */
  readonly tableFaults = new Map<number, string>()
  /** Of what is in pieces: those whose stored stream is not the blob, though their content is right. */
  readonly recoded = new Set<number>()
  /** Bytes of the blobs that are there. */
  readonly #sizes: (number | undefined)[] = []

  size(content: number): number | undefined {
    return this.#sizes[content]
  }

  setSize(content: number, size: number): void {
    // Without holes, which would make the array a dictionary.
    for (let next = this.#sizes.length; next < content; next++) this.#sizes.push(undefined)
    this.#sizes[content] = size
  }

  /** What is wrong with a content that should have so many bytes. */
  problemOf(content: number, size: number): BlobFault | undefined {
    const actual = this.#sizes[content]
    const isTorn = actual !== undefined && actual !== size
    return this.problems.get(content) ?? (isTorn ? 'damaged' : undefined)
  }
}

/** What one manifest names, in a few bytes for each: a large store has a hundred thousand of them. */
export class BlobUses {
  /** Content, size and role of each. */
  readonly #numbers: readonly number[]
  readonly #platforms: ReadonlyMap<number, string> | undefined

  constructor(manifest: Manifest, { table }: Contents) {
    const named = namedBy(manifest)
    this.#numbers = named.flatMap(([{ digest, size }, role]) => [
      table.add(digest),
      size,
      ROLES.indexOf(role),
    ])
    const platforms = named.flatMap(([{ platform }], i) =>
      platform ? [[i, formatPlatform(platform)] as const] : [],
    )
    this.#platforms = platforms.length > 0 ? new Map(platforms) : undefined
  }

  *[Symbol.iterator](): Generator<BlobUse, void> {
    const numbers = this.#numbers
    for (let i = 0; i < numbers.length; i += 3) {
      const role = ROLES[numbers[i + 2] ?? 0] ?? 'blob'
      const platform = this.#platforms?.get(i / 3)
      yield { content: numbers[i] ?? 0, size: numbers[i + 1] ?? 0, role, platform }
    }
  }
}

function namedBy(manifest: Manifest): readonly (readonly [Descriptor, BlobRole])[] {
  if (manifest.kind === 'index') {
    return manifest.manifests
      .filter(({ mediaType }) => !isManifestMediaType(mediaType))
      .map((entry) => [entry, 'blob'])
  }
  if (manifest.kind === 'artifact') return manifest.blobs.map((blob) => [blob, 'blob'] as const)
  const layers = manifest.layers.filter((layer) => !isForeignLayer(layer))
  return [[manifest.config, 'config'], ...layers.map((layer) => [layer, 'layer'] as const)]
}
