import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import {
  BLOBS_PREFIX,
  LAYER_INDEXES_PREFIX,
  REFERRER_BLOBS_PREFIX,
  SOCI_ARTIFACTS_PREFIX,
} from '../layout/keys.ts'
import { parseContentKey } from '../layout/parse-key.ts'
import { nameOf } from './name-set.ts'

/** An object that a collector may delete when nothing needs it. */
export interface Collectable {
  readonly info: ObjectInfo
  /** Its own name. */
  readonly name: string
  /** The digest that its key says. */
  readonly digest: string
  /** Says something about content that is kept elsewhere, and lives as long as that. */
  readonly isRecord?: true
}

/**
 * Where a collector may delete beside digest records: what is recorded about SOCI artifacts, what a layer reader
 * keeps beside layers, and blobs. All other prefixes are untouchable, the Go program's chunks too.
 */
const PREFIXES = [SOCI_ARTIFACTS_PREFIX, LAYER_INDEXES_PREFIX, REFERRER_BLOBS_PREFIX, BLOBS_PREFIX]

/** All content that can be collected. */
export async function* listCollectable(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  for (const prefix of PREFIXES) {
    for await (const info of backend.list(prefix, options)) {
      const parsed = parseContentKey(info.key)
      if (!parsed) continue
      const { kind, digest } = parsed
      const item = { info, digest, name: nameOf(digest) }
      yield kind === 'record' ? { ...item, isRecord: true } : item
    }
  }
}
