import type { CallOptions } from '../contract/call-options.ts'
import type {
  BackendGuarantees,
  StorageBackend,
  WriteCondition,
} from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import { readAll } from '../stream/read-all.ts'
import { type BucketConfig, MAX_BUCKET_CONFIG_BYTES } from './bucket-config.ts'
import { ConfigDocument } from './config-document.ts'
import { type ConfigEdit, formatPath } from './config-path.ts'

/**
 * How a write was kept from overwriting another process's. `compare-and-swap`: the store refused
 * anything else. `check-write-read-back`: the store cannot, so another edit within the moment of
 * the write may have been lost.
 */
export type WriteGuard = 'compare-and-swap' | 'check-write-read-back'

/** A bucket's `s3lo.yaml` as it was read. */
export interface StoredConfig {
  /** An empty one when there is no file. */
  readonly document: ConfigDocument
  /** Of the object; absent when there is none. */
  readonly etag?: string
}

/** What came of an edit. */
export interface ConfigEditOutcome {
  readonly before: BucketConfig
  readonly after: BucketConfig
  /** False when the document said so already and nothing was written. */
  readonly written: boolean
  readonly guard: WriteGuard
  /** Another process changed other keys meanwhile; that change was kept. */
  readonly merged: boolean
}

/** How often a lost race is run again before giving up. */
const MAX_ATTEMPTS = 16

/** Reads a bucket's `s3lo.yaml`. Throws `INTEGRITY` naming the line and the key that is wrong. */
export async function readConfigDocument(
  backend: StorageBackend,
  options?: CallOptions,
): Promise<StoredConfig> {
  try {
    const { info, body } = await backend.get(BUCKET_CONFIG_KEY, options)
    const content = await readAll(body, MAX_BUCKET_CONFIG_BYTES, BUCKET_CONFIG_KEY)
    return { document: await ConfigDocument.parse(content), etag: info.etag }
  } catch (error) {
    if (!isS3loError(error, 'NOT_FOUND')) throw error
    return { document: await ConfigDocument.parse(new Uint8Array()) }
  }
}

/** Tells an empty configuration from one of no store: throws `NOT_FOUND` where there is none. */
export async function assertStoreOf(
  { etag }: StoredConfig,
  backend: StorageBackend,
  options?: CallOptions,
): Promise<void> {
  if (etag !== undefined) return
  // No object need be found: a listing fails where there is nothing to list.
  await backend.list(BUCKET_CONFIG_KEY, options)[Symbol.asyncIterator]().next()
}

interface EditConfigOptions extends CallOptions {
  /** Gets what the file says before each attempt to write: what it throws ends the edit. */
  readonly expect?: ((current: BucketConfig) => void) | undefined
}

/**
 * Changes keys of a bucket's `s3lo.yaml` and keeps everything else, also what another process writes
 * at the same time. Throws `CONFLICT` when they changed one of the same keys to something else,
 * `NOT_FOUND` without a store.
 */
export async function editConfig(
  backend: StorageBackend,
  edits: readonly ConfigEdit[],
  { expect, ...options }: EditConfigOptions = {},
): Promise<ConfigEditOutcome> {
  const base = await readConfigDocument(backend, options)
  let current = base
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    expect?.(current.document.config)
    const edited = await current.document.edit(edits)
    assertMergeable(base, current, edited, edits, backend)
    const written = edited !== current.document
    // Found out by writing, on some stores: not for an edit that writes nothing.
    const guarantees = written ? await provenGuarantees(backend, options) : backend.guarantees
    const outcome = {
      before: base.document.config,
      after: edited.config,
      written,
      guard: guardOf(guarantees, current),
      merged: current.etag !== base.etag,
    }
    if (!written) await assertStoreOf(current, backend, options)
    const write = { current, edited, edits, guard: outcome.guard }
    if (!written || (await writeEdited(backend, write, options))) return outcome
    current = await readConfigDocument(backend, options)
  }
  throw new S3loError(
    'CONFLICT',
    `${nameOf(backend)} was changed by others ${MAX_ATTEMPTS} times while it was edited`,
    { hint: 'try again' },
  )
}

function guardOf(
  { createOnly, compareAndSwap }: BackendGuarantees,
  { etag }: StoredConfig,
): WriteGuard {
  const enforced = etag === undefined ? createOnly : compareAndSwap
  return enforced ? 'compare-and-swap' : 'check-write-read-back'
}

/** Refuses to overwrite what another process set meanwhile, unless it set the same. */
function assertMergeable(
  base: StoredConfig,
  current: StoredConfig,
  edited: ConfigDocument,
  edits: readonly ConfigEdit[],
  backend: StorageBackend,
): void {
  for (const { path } of edits) {
    if (base.document.agrees(current.document, path)) continue
    if (edited.agrees(current.document, path)) continue
    throw new S3loError(
      'CONFLICT',
      `${formatPath(path)} in ${nameOf(backend)} was changed by another process meanwhile`,
      { hint: 'look at it with s3lo config get and set it again if it is still wanted' },
    )
  }
}

interface ConfigWrite {
  readonly current: StoredConfig
  readonly edited: ConfigDocument
  readonly edits: readonly ConfigEdit[]
  readonly guard: WriteGuard
}

/** False when another process's write came first. */
async function writeEdited(
  backend: StorageBackend,
  { current, edited, edits, guard }: ConfigWrite,
  { signal }: CallOptions,
): Promise<boolean> {
  const { content } = edited
  const put = { signal, size: content.byteLength, mediaType: 'application/yaml' }
  if (guard === 'check-write-read-back') {
    const found = await backend.head(BUCKET_CONFIG_KEY, { signal })
    if (found?.etag !== current.etag) return false
    await backend.put(BUCKET_CONFIG_KEY, content, put)
    return isInEffect(await readConfigDocument(backend, { signal }), edited, edits)
  }
  const condition: WriteCondition =
    current.etag === undefined ? { kind: 'absent' } : { kind: 'unchanged', etag: current.etag }
  try {
    await backend.put(BUCKET_CONFIG_KEY, content, { ...put, condition })
    return true
  } catch (error) {
    if (isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}

/** What is read back may hold more than was written, but must say what was to be set. */
function isInEffect(
  { document }: StoredConfig,
  edited: ConfigDocument,
  edits: readonly ConfigEdit[],
): boolean {
  return edits.every(({ path }) => document.agrees(edited, path))
}

function nameOf({ scheme, bucket }: StorageBackend): string {
  return `${BUCKET_CONFIG_KEY} of ${scheme}://${bucket}`
}
