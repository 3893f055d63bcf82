import { asArray, asObject, asString, optional, parseStrictJson, S3loError } from '@s3lo/core'
import { isSameImageName } from './image-name.ts'

/** One image of a docker archive: an element of its `manifest.json`. */
export interface ArchivedImage {
  /** The name of the config's file in the archive. */
  readonly config: string
  readonly repoTags: readonly string[]
  /** The names of the layers' files, bottom first; a layer may stand there several times. */
  readonly layers: readonly string[]
}

/** Where a docker archive says what it holds. */
export const DOCKER_MANIFEST = 'manifest.json'

/** Reads a docker archive's `manifest.json`. Throws `INTEGRITY`. */
export function parseDockerManifest(
  content: Uint8Array,
  archive: string,
): readonly ArchivedImage[] {
  const path = `${archive}: ${DOCKER_MANIFEST}`
  return asArray(parseStrictJson(content, path), path).map((element, i) => {
    const at = `${path}[${i}]`
    const image = asObject(element, at)
    return {
      config: asString(image['Config'], `${at}.Config`),
      repoTags: optional(image, 'RepoTags', at, asStrings) ?? [],
      layers: optional(image, 'Layers', at, asStrings) ?? [],
    }
  })
}

function asStrings(value: unknown, path: string): readonly string[] {
  return asArray(value, path).map((element, i) => asString(element, `${path}[${i}]`))
}

/**
 * The image of that name, or the only one. Throws `NOT_FOUND` for an unknown name, `USAGE` when
 * there are several and none was named; both hints list what there is.
 */
export function selectArchivedImage(
  images: readonly ArchivedImage[],
  name: string | undefined,
  archive: string,
): ArchivedImage {
  const names = images.flatMap(({ repoTags }) => repoTags)
  const hint =
    names.length === 0 ? 'its images have no names' : `it has ${names.slice(0, 20).join(', ')}`
  if (name !== undefined) {
    const found = images.find(({ repoTags }) => repoTags.some((tag) => isSameImageName(tag, name)))
    if (found) return found
    throw new S3loError('NOT_FOUND', `${archive} has no image ${name}`, { hint })
  }
  const [only] = images
  if (!only) throw new S3loError('NOT_FOUND', `${archive} holds no image`)
  if (images.length === 1) return only
  throw new S3loError('USAGE', `${archive} holds ${images.length} images`, {
    hint: `name one of them: ${hint}`,
  })
}
