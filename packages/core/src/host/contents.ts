import type { CallOptions } from '../contract/call-options.ts'
import {
  parseConfigReference,
  parseExplicitReference,
  parseReadReference,
  parseStoreReference,
} from '../layout/store-reference.ts'
import type { DeleteAllOptions, DeleteOptions, DeleteResult } from '../operations/delete-tag.ts'
import type { HistoryOptions, ImageHistory, TagHistory } from '../operations/history.ts'
import type { InspectResult } from '../operations/inspect.ts'
import type { ListedImage } from '../operations/list.ts'
import type { ManifestDocument } from '../oci/document.ts'
import type { OpenedImage, Opener } from './opener.ts'

/** See `Host.list`. */
export async function listImages(
  opener: Opener,
  store: string,
  options: CallOptions = {},
): Promise<readonly ListedImage[]> {
  const location = parseStoreReference(store)
  const { list } = await import('../operations/list.ts')
  return opener.withBackend(location, options, (backend) => list(backend, location.filter, options))
}

/** See `Host.openImage`. */
export function openStoreImage(
  opener: Opener,
  reference: string,
  options: CallOptions = {},
): Promise<OpenedImage> {
  return opener.openImage(parseReadReference(reference), options)
}

/** See `Host.inspect`. */
export async function inspectImage(
  opener: Opener,
  reference: string,
  options: CallOptions = {},
): Promise<InspectResult> {
  const parsed = parseReadReference(reference)
  const { inspect } = await import('../operations/inspect.ts')
  return opener.withImage(parsed, options, (store, image) => inspect(store, image, options))
}

/** See `Host.manifest`. */
export async function readImageManifest(
  opener: Opener,
  reference: string,
  options: CallOptions = {},
): Promise<ManifestDocument> {
  const parsed = parseReadReference(reference)
  return opener.withImage(parsed, options, (store, image) => store.read(image, options))
}

/** See `Host.delete`. */
export async function deleteImage(
  opener: Opener,
  reference: string,
  options: DeleteOptions = {},
): Promise<DeleteResult> {
  const parsed = parseExplicitReference(reference)
  const { deleteTag } = await import('../operations/delete-tag.ts')
  return opener.withStore(parsed, options, (store) => deleteTag(store, parsed, options))
}

/** See `Host.deleteAllTags`. */
export async function deleteImageTags(
  opener: Opener,
  image: string,
  options: DeleteAllOptions = {},
): Promise<readonly DeleteResult[]> {
  const location = parseConfigReference(image)
  const { deleteAllTags } = await import('../operations/delete-tag.ts')
  return opener.withStore(location, options, (store) =>
    deleteAllTags(store, { ...location, name: location.image }, options),
  )
}

/** See `Host.storeHistory`. */
export async function readStoreHistory(
  opener: Opener,
  store: string,
  options: HistoryOptions = {},
): Promise<readonly ImageHistory[]> {
  const location = parseStoreReference(store)
  const { storeHistory } = await import('../operations/history.ts')
  return opener.withStore(location, options, (opened) =>
    storeHistory(opened, location.filter, options),
  )
}

/** See `Host.imageHistory`. */
export async function readImageHistory(
  opener: Opener,
  image: string,
  options: HistoryOptions = {},
): Promise<readonly TagHistory[]> {
  const location = parseConfigReference(image)
  const { imageHistory } = await import('../operations/history.ts')
  return opener.withStore(location, options, (store) =>
    imageHistory(store, location.image, options),
  )
}
