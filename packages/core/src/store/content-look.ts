import type { StoredChunk } from '../chunk/frame.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import type { FramePlace, Look, RecordPlace } from '../gc/protected-write.ts'
import { chunkFrameKey, chunkRecipeKey } from '../layout/chunk-keys.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { MEDIA_TYPE } from '../oci/media-type.ts'
import type { BlobStore } from './blobs.ts'
import { hasRecord } from './records.ts'

const FRAME = 'frame '

/** Where the frame with that digest is, of the chunk whose raw digest is looked for. */
export function framePlace(frame: string): FramePlace {
  return `${FRAME}${frame}`
}

/** A chunk as collectors know it: by its raw digest, with the length of its frame. */
export function chunkPiece({ raw, frameSize }: Pick<StoredChunk, 'raw' | 'frameSize'>): Descriptor {
  return { mediaType: MEDIA_TYPE.octetStream, digest: raw, size: frameSize }
}

/** Makes a blob that is there one to be relied on. False: it is to be written again. */
export type KeepBlob = (
  descriptor: Descriptor,
  info: ObjectInfo,
  options: CallOptions,
) => Promise<boolean>

/** Looks for what a publication relies on, wherever that is kept. */
export function lookIn(backend: StorageBackend, blobs: BlobStore, keep: KeepBlob): Look {
  return async (descriptor, options, place) => {
    if (place === 'blobs') {
      const info = await blobs.look(descriptor, options)
      return info !== undefined && keep(descriptor, info, options)
    }
    if (place === 'referrer-blobs') return blobs.hasReferrerBlob(descriptor, options)
    if (place === 'recipes') {
      return (await backend.head(chunkRecipeKey(descriptor.digest), options)) !== undefined
    }
    if (!isFramePlace(place)) return hasRecord(backend, descriptor, place, options)
    const key = chunkFrameKey({ raw: descriptor.digest, frame: place.slice(FRAME.length) })
    return (await backend.head(key, options))?.size === descriptor.size
  }
}

function isFramePlace(place: FramePlace | RecordPlace): place is FramePlace {
  return place.startsWith(FRAME)
}
