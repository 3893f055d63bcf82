import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { SETTINGS_SEEN_KEY } from '../layout/keys.ts'
import { asArray, asString, parseJson } from '../oci/json.ts'
import { orImageFault } from '../store/image-fault.ts'
import { readObject } from '../store/read-object.ts'
import { type BucketConfig, MAX_BUCKET_CONFIG_BYTES } from './bucket-config.ts'
import { type ConfigPath, formatPath } from './config-path.ts'
import { settingPaths } from './write-config.ts'

/**
 * Which settings `s3lo.yaml` had when s3lo last saw it. Other programs rewrite that file and drop
 * what they do not know, and a policy that is gone refuses nothing. The list is in the bucket, where
 * every machine that pushes finds it, and below `.s3lo/`, which no other program touches; on a CI
 * runner, a list in the user's cache would be gone with the job.
 *
 * Only paths are kept, no values. Who can write to the bucket can change the list, and can change
 * `s3lo.yaml` as well: it is there against accidents.
 */
export async function lostSettings(
  backend: StorageBackend,
  config: BucketConfig,
  { isReadOnly = false, ...options }: CallOptions & { readonly isReadOnly?: boolean } = {},
): Promise<readonly string[]> {
  return tolerant(options, [], async () => {
    const seen = await readSeen(backend, options)
    const present = watched(config)
    const lost = [...seen].filter((path) => !present.has(path))
    const isNew = [...present].some((path) => !seen.has(path))
    if (isNew && !isReadOnly) await write(backend, new Set([...seen, ...present]), options)
    return lost.map((path) => formatPath(toPath(path)))
  })
}

/** Takes the settings as they are from now on, those that are gone included. */
export async function acceptSettings(
  backend: StorageBackend,
  config: BucketConfig,
  options: CallOptions = {},
): Promise<void> {
  await tolerant(options, undefined, async () => {
    const [seen, present] = [await readSeen(backend, options), watched(config)]
    const isSame = seen.size === present.size && [...seen].every((path) => present.has(path))
    if (!isSame) await write(backend, present, options)
  })
}

async function readSeen(
  backend: StorageBackend,
  options: CallOptions,
): Promise<ReadonlySet<string>> {
  const key = SETTINGS_SEEN_KEY
  const content = await readObject(backend, key, 4 * MAX_BUCKET_CONFIG_BYTES, options)
  if (!content) return new Set()
  // A damaged list is as good as none: the next one replaces it.
  const paths = await orImageFault(() => Promise.resolve(asArray(parseJson(content, key), key)))
  if (isS3loError(paths)) return new Set()
  return new Set(paths.filter((path) => typeof path === 'string'))
}

async function write(
  backend: StorageBackend,
  paths: ReadonlySet<string>,
  { signal }: CallOptions,
): Promise<void> {
  const content = new TextEncoder().encode(JSON.stringify([...paths].toSorted()))
  const size = content.byteLength
  await backend.put(SETTINGS_SEEN_KEY, content, { signal, size, mediaType: 'application/json' })
}

/** As texts, which sets can compare. What the Go program keeps itself is not watched. */
function watched(config: BucketConfig): ReadonlySet<string> {
  const paths = settingPaths(config).filter(([first]) => !first.startsWith('chunk'))
  return new Set(paths.map((path) => JSON.stringify(path)))
}

function toPath(text: string): ConfigPath {
  const path = asArray(
    parseJson(new TextEncoder().encode(text), SETTINGS_SEEN_KEY),
    SETTINGS_SEEN_KEY,
  )
  const [first = '', ...rest] = path.map((key) => asString(key, SETTINGS_SEEN_KEY))
  return [first, ...rest]
}

/** A watch that fails must not fail what it watches. */
async function tolerant<T>(
  { signal }: CallOptions,
  instead: T,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    signal?.throwIfAborted()
    if (isS3loError(error)) return instead
    throw error
  }
}
