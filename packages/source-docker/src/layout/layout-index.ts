import {
  ANNOTATION,
  asArray,
  asDescriptor,
  asObject,
  type Descriptor,
  isReferrerTag,
  type JsonObject,
  MEDIA_TYPE,
  parseStrictJson,
  type Reference,
  S3loError,
} from '@s3lo/core'
import { canonical } from '../image/image-name.ts'

/** One image of a layout: an entry of its `index.json`. */
export interface LayoutEntry {
  readonly descriptor: Descriptor
  /** The tag, `org.opencontainers.image.ref.name`. */
  readonly refName?: string
  /** The full name that containerd gives, `io.containerd.image.name`. */
  readonly imageName?: string
}

/** Reads a layout's `index.json`. Throws `INTEGRITY`. */
export function parseLayoutIndex(content: Uint8Array, name: string): readonly LayoutEntry[] {
  return rawEntries(asObject(parseStrictJson(content, pathOf(name)), pathOf(name)), name).map(
    (raw, i) => {
      const descriptor = asDescriptor(raw, `${pathOf(name)}.manifests[${i}]`)
      const refName = descriptor.annotations?.[ANNOTATION.refName]
      const imageName = descriptor.annotations?.[ANNOTATION.containerdImageName]
      return {
        descriptor,
        ...(refName === undefined ? {} : { refName }),
        ...(imageName === undefined ? {} : { imageName }),
      }
    },
  )
}

function pathOf(name: string): string {
  return `index.json of ${name}`
}

function rawEntries(index: JsonObject, name: string): readonly unknown[] {
  return asArray(index['manifests'] ?? [], `${pathOf(name)}.manifests`)
}

/** The images of one `index.json`, found by their names without looking at each. */
export class LayoutEntries {
  readonly all: readonly LayoutEntry[]
  readonly #name: string
  /** The first that each name or digest means. */
  readonly #byTag = new Map<string, number>()
  readonly #byImageName = new Map<string, number>()
  readonly #byDigest = new Map<string, number>()

  /** `name` is the layout's, in messages. */
  constructor(all: readonly LayoutEntry[], name: string) {
    this.all = all
    this.#name = name
    for (const [i, { refName, imageName, descriptor }] of all.entries()) {
      if (refName !== undefined) addFirst(this.#byTag, refName, i)
      if (imageName !== undefined) addFirst(this.#byImageName, canonical(imageName), i)
      addFirst(this.#byDigest, descriptor.digest, i)
    }
  }

  /**
   * The entry that a reference means: by digest, by tag, by containerd's name, or, without any, the
   * only image. Throws `NOT_FOUND`, and `USAGE` listing the tags where a choice is needed.
   */
  select({ tag, digest }: Reference): Descriptor {
    if (digest === undefined && tag === undefined) {
      return onlyEntry(this.all, this.#name, this.#hint())
    }
    const found =
      digest === undefined ? this.#findNamed(tag ?? '') : this.all[this.#byDigest.get(digest) ?? -1]
    if (found) return found.descriptor
    throw new S3loError('NOT_FOUND', `${this.#name} has no image ${digest ?? tag}`, {
      hint: this.#hint(),
    })
  }

  #findNamed(tag: string): LayoutEntry | undefined {
    const ways = [this.#byTag.get(tag)]
    if (this.#byImageName.size > 0) ways.push(this.#byImageName.get(canonical(tag)))
    const found = ways.filter((i) => i !== undefined)
    return found.length === 0 ? undefined : this.all[Math.min(...found)]
  }

  #hint(): string {
    const names: string[] = []
    for (const { refName, imageName } of this.all) {
      const name = refName ?? imageName
      if (name !== undefined) names.push(name)
      if (names.length === MAX_NAMES) break
    }
    return names.length === 0 ? 'its images have no names' : `it has ${names.join(', ')}`
  }
}

/** How many names a hint gives. */
const MAX_NAMES = 20

function addFirst(places: Map<string, number>, key: string, place: number): void {
  if (!places.has(key)) places.set(key, place)
}

/** Entries without a name beside one that has one are referrers, and so are those with a tag of cosign. */
function onlyEntry(entries: readonly LayoutEntry[], name: string, hint: string): Descriptor {
  const own = entries.filter(({ refName }) => !isReferrerTag(refName ?? ''))
  const named = own.filter(({ refName, imageName }) => (refName ?? imageName) !== undefined)
  const images = named.length > 0 ? named : own
  const [first] = images
  if (!first) throw new S3loError('NOT_FOUND', `${name} holds no image`)
  const digests = new Set(images.map(({ descriptor }) => descriptor.digest))
  if (digests.size === 1) return first.descriptor
  throw new S3loError('USAGE', `${name} holds ${digests.size} images`, {
    hint: `name one of them: ${hint}`,
  })
}

/** What an entry is to be: without a name it only makes the manifest findable. */
export interface NewEntry {
  readonly descriptor: Descriptor
  readonly refName?: string | undefined
}

/**
 * The `index.json` with the entry in place of the one of the same name; the other entries and
 * members stay as they are.
 */
export function withEntry(
  content: Uint8Array | undefined,
  entry: NewEntry,
  name: string,
): Uint8Array {
  const path = pathOf(name)
  const index: JsonObject = content
    ? asObject(parseStrictJson(content, path), path)
    : { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex }
  const kept = rawEntries(index, name).filter((raw) => !isReplaced(asDescriptor(raw, path), entry))
  return Buffer.from(JSON.stringify({ ...index, manifests: [...kept, formatEntry(entry)] }))
}

function isReplaced({ digest, annotations }: Descriptor, entry: NewEntry): boolean {
  const refName = annotations?.[ANNOTATION.refName]
  return refName === entry.refName && (refName !== undefined || digest === entry.descriptor.digest)
}

function formatEntry({ descriptor, refName }: NewEntry): JsonObject {
  const { mediaType, digest, size } = descriptor
  const annotations =
    refName === undefined ? {} : { annotations: { [ANNOTATION.refName]: refName } }
  return { mediaType, digest, size, ...annotations }
}
