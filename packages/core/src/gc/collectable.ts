import type { CallOptions } from '../contract/call-options.ts'
import type { ObjectInfo, StorageBackend } from '../contract/storage-backend.ts'
import { isDigest } from '../oci/digest.ts'
import { nameOf } from './name-set.ts'

/** Where a collector may delete. All other prefixes are untouchable: the Go program's chunks as well. */
const BLOBS_PREFIX = 'blobs/'
const REFERRER_BLOBS_PREFIX = '.s3lo/blobs/'
const REFERRERS_PREFIX = '.s3lo/referrers/'
/** What a layer reader keeps beside layers, under their digests: it lives as long as they do. */
const LAYER_INDEXES_PREFIX = '.s3lo/soci/layers/'

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
    const path = info.key.slice(REFERRERS_PREFIX.length)
    const [, algorithm, subject, own] =
      /^(\w+)\/([0-9a-f]+)\/(\w+-[0-9a-f]+)\.json$/.exec(path) ?? []
    const digest = own?.replace('-', ':') ?? ''
    if (subject === undefined || !isDigest(`${algorithm}:${subject}`) || !isDigest(digest)) continue
    yield { info, digest, name: nameOf(digest), subject }
  }
}

/** What is recorded about SOCI artifacts, under their digests: it can always be made again. */
const RECORDS_PREFIX = '.s3lo/soci/artifacts/'

async function* listRecords(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  for await (const info of backend.list(RECORDS_PREFIX, options)) {
    const [, own = ''] = /^(\w+-[0-9a-f]+)\.json$/.exec(info.key.slice(RECORDS_PREFIX.length)) ?? []
    const digest = own.replace('-', ':')
    if (isDigest(digest)) yield { info, digest, name: nameOf(digest), isRecord: true }
  }
}

/** Everything that can be collected: referrers before blobs, so that none is seen without its content. */
export async function* listCollectable(
  backend: StorageBackend,
  options?: CallOptions,
): AsyncGenerator<Collectable, void> {
  yield* listReferrers(backend, options)
  yield* listRecords(backend, options)
  for (const prefix of [LAYER_INDEXES_PREFIX, REFERRER_BLOBS_PREFIX, BLOBS_PREFIX]) {
    for await (const info of backend.list(prefix, options)) {
      const digest = info.key.slice(prefix.length).replace('/', ':')
      if (isDigest(digest)) yield { info, digest, name: nameOf(digest) }
    }
  }
}
