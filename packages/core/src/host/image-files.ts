import { isS3loError } from '../errors.ts'
import { parseReadReference } from '../layout/store-reference.ts'
import type { CatResult, TakeContent } from '../operations/cat.ts'
import type { ListedFile } from '../operations/files.ts'
import type { ImageFilesOptions, NamedLayerReader } from '../operations/image-files.ts'
import type { Opener } from './opener.ts'

/** The reader of the official plugin. */
const READER = 'soci'

/** See `Host.cat`. */
export async function readImageFile(
  opener: Opener,
  reference: string,
  path: string,
  take: TakeContent,
  options: ImageFilesOptions = {},
): Promise<CatResult> {
  const parsed = parseReadReference(reference)
  const finding = startFinding(opener, options)
  const { cat } = await import('../operations/cat.ts')
  return opener.withImage(parsed, options, async (store, image) =>
    cat(store, image, path, take, { ...options, reader: await finding }),
  )
}

/** See `Host.files`. */
export async function listImageFiles(
  opener: Opener,
  reference: string,
  directory?: string,
  options: ImageFilesOptions = {},
): Promise<readonly ListedFile[]> {
  const parsed = parseReadReference(reference)
  const finding = startFinding(opener, options)
  const { files } = await import('../operations/files.ts')
  return opener.withImage(parsed, options, async (store, image) =>
    files(store, image, directory, { ...options, reader: await finding }),
  )
}

/** Loads the reader while the store is being opened. */
function startFinding(opener: Opener, options: ImageFilesOptions): ReturnType<typeof findReader> {
  const finding = findReader(opener, options)
  finding.catch(() => undefined) // It is awaited once the store is open, if that ever is.
  return finding
}

/**
 * The reader of layers that have an index. Without its plugin every layer is read from its
 * beginning; only `index` cannot do without it.
 */
export async function findReader(
  { registry }: Opener,
  { index = false }: Pick<ImageFilesOptions, 'index'> = {},
): Promise<NamedLayerReader | undefined> {
  try {
    return { name: READER, module: await registry.layerReader(READER) }
  } catch (error) {
    if (!index && isS3loError(error, 'PLUGIN_NOT_INSTALLED')) return undefined
    throw error
  }
}
