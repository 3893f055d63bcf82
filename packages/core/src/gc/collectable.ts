import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import {
  BLOBS_PREFIX,
  LAYER_INDEXES_PREFIX,
  REFERRER_BLOBS_PREFIX,
  REFERRERS_PREFIX,
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
  /** For a referrer: the name of what it refers to, with which it lives and dies. */
  readonly subject?: string
  /** Says something about content that is kept elsewhere, and lives as long as that. */
  readonly isRecord?: true
}

/** Every referrer of a store, in key order; foreign keys are left out. */
export async function* listReferrers(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable & { readonly subject: string }, void> {
  for await (const info of backend.list(REFERRERS_PREFIX, options)) {
    const parsed = parseContentKey(info.key)
    if (parsed?.kind !== 'referrer') continue
    const { digest, subject } = parsed
    yield { info, digest, name: nameOf(digest), subject: nameOf(subject) }
  }
}

/**
 * Where else a collector may delete: what is recorded about SOCI artifacts, what a layer reader
 * keeps beside layers, and blobs. All other prefixes are untouchable, the Go program's chunks too.
 */
const PREFIXES = [SOCI_ARTIFACTS_PREFIX, LAYER_INDEXES_PREFIX, REFERRER_BLOBS_PREFIX, BLOBS_PREFIX]

/** Everything that can be collected: referrers before blobs, so that none is seen without its content. */
export async function* listCollectable(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  yield* listReferrers(backend, options)
  for (const prefix of PREFIXES) {
    for await (const info of backend.list(prefix, options)) {
      const parsed = parseContentKey(info.key)
      if (!parsed || parsed.kind === 'referrer') continue
      const { kind, digest } = parsed
      const item = { info, digest, name: nameOf(digest) }
      yield kind === 'record' ? { ...item, isRecord: true } : item
    }
  }
}
