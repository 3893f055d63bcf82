import {
  type ChunkRecipe,
  MAX_CHUNK_RECIPE_BYTES,
  parseChunkRecipe,
} from '../chunk/chunk-recipe.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { CompressedLayer } from '../contract/layer-compressor.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import type { Protection } from '../gc/protection.ts'
import { chunkRecipeKey } from '../layout/chunk-keys.ts'
import { manifestKey } from '../layout/keys.ts'
import { MAX_CONFIG_BYTES, parseImageConfig } from '../oci/config.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { algorithmOf } from '../oci/digest.ts'
import { type ImageManifest, type ManifestDocument, successors } from '../oci/document.ts'
import { isImageConfigType, MEDIA_TYPE } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import { readAll } from '../stream/read-all.ts'
import type { BlobStore } from './blobs.ts'
import { chunkPiece, framePlace } from './content-look.ts'
import { readTagVersion } from './manifests.ts'
import { readVersion } from './read-object.ts'

/** Recipes of one image that are held at once: a layer of 100 GiB has one of 8 MiB. */
const MOST_RECIPE_BYTES = 32 * 1024 * 1024

/** What pins known layers. */
export type LayerPins = Pick<Protection, 'protect' | 'settle' | 'note' | 'has'>

/** Where known layers are read, and protected. */
export interface KnownLayersPlace {
  readonly backend: StorageBackend
  readonly blobs: BlobStore
  readonly protection: LayerPins
}

/** A layer of an image, and its recipe where it is stored in chunks. */
export interface KnownLayer {
  readonly layer: CompressedLayer
  readonly recipe?: ChunkRecipe | undefined
}

interface StoredRecipe {
  readonly recipe: ChunkRecipe
  readonly key: string
  readonly etag: string
}

/**
 * The compressed layers of the image that a tag names, with everything that they consist of protected.
 * A tag keeps what its image needs, so that nothing of that is looked for: pins are written, rounds
 * are waited for, and then the tag and the recipes are still what they were. Otherwise none is known.
 * Throws as `ImageSource.fetch` does for an image that cannot be read.
 */
export async function readKnownLayers(
  { backend, blobs, protection }: KnownLayersPlace,
  reference: Reference,
  options: CallOptions = {},
): Promise<readonly KnownLayer[]> {
  const version = await readTagVersion(backend, reference, options)
  if (!version) return []
  const { document, info } = version
  const { manifest } = document
  if (manifest.kind !== 'manifest' || !isImageConfigType(manifest.config.mediaType)) return []
  const compressed = manifest.layers.filter(isZstd)
  if (compressed.length === 0) return []
  const diffIds = await readDiffIds(blobs, manifest, options)
  if (diffIds.length !== manifest.layers.length) return []
  const recipes = await readRecipes(backend, compressed, options)
  const confirm = await protectAll(protection, document, recipes, options)
  if ((await backend.head(manifestKey(reference), options))?.etag !== info.etag) return []
  for (const { key, etag } of recipes.values()) {
    if ((await backend.head(key, options))?.etag !== etag) return []
  }
  confirm()
  const known: KnownLayer[] = []
  for (const [i, blob] of manifest.layers.entries()) {
    const diffId = diffIds[i] ?? ''
    const recipe = recipes.get(blob.digest)?.recipe
    if (!isZstd(blob) || (recipe && recipe.content.digest !== diffId)) continue
    if (!recipe && !(await protection.has(blob, options))) continue
    known.push({ layer: { diffId, size: recipe?.content.size, blob }, recipe })
  }
  return known
}

function isZstd({ mediaType }: Descriptor): boolean {
  return mediaType === MEDIA_TYPE.ociLayerZstd
}

async function readDiffIds(
  blobs: BlobStore,
  { config }: ImageManifest,
  options: CallOptions,
): Promise<readonly string[]> {
  const content = await readAll(await blobs.open(config, options), MAX_CONFIG_BYTES, config.digest)
  return parseImageConfig(content, config.digest).diffIds
}

/** By the digests of their layers; layers that are stored whole have none. */
async function readRecipes(
  backend: StorageBackend,
  layers: readonly Descriptor[],
  options: CallOptions,
): Promise<ReadonlyMap<string, StoredRecipe>> {
  const recipes = new Map<string, StoredRecipe>()
  let bytes = 0
  for (const { digest, size } of layers) {
    if (recipes.has(digest) || algorithmOf(digest) !== 'sha256') continue
    const key = chunkRecipeKey(digest)
    const stored = await readVersion(backend, key, MAX_CHUNK_RECIPE_BYTES, options)
    if (!stored) continue
    bytes += stored.content.byteLength
    if (bytes > MOST_RECIPE_BYTES) break
    const recipe = parseChunkRecipe(stored.content, key)
    if (recipe.layer.size === size) recipes.set(digest, { recipe, key, etag: stored.info.etag })
  }
  return recipes
}

/** Resolves once no round can delete any of it. What it gives counts all of it as seen. */
async function protectAll(
  protection: LayerPins,
  { descriptor, manifest }: ManifestDocument,
  recipes: ReadonlyMap<string, StoredRecipe>,
  options: CallOptions,
): Promise<() => void> {
  const chunks = [...recipes.values()].flatMap(({ recipe }) => recipe.chunks)
  const content = [descriptor, ...successors(manifest)].map(({ digest }) => digest)
  await protection.protect([...content, ...chunks.map(({ raw }) => raw)], options)
  const seen: Parameters<LayerPins['note']>[0][] = []
  for (const chunk of chunks) {
    const cover = await protection.settle(chunk.raw, options)
    seen.push({ descriptor: chunkPiece(chunk), place: framePlace(chunk.frame), cover })
  }
  for (const { recipe } of recipes.values()) {
    const cover = await protection.settle(recipe.layer.digest, options)
    const layer = { mediaType: MEDIA_TYPE.ociLayerZstd, ...recipe.layer }
    seen.push({ descriptor: layer, place: 'recipes', cover })
  }
  return () => seen.forEach((each) => protection.note(each))
}
