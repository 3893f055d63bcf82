import { forEachConcurrent } from '../concurrency/for-each-concurrent.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type { StorageBackend } from '../contract/storage-backend.ts'
import { isS3loError, S3loError } from '../errors.ts'
import { MANIFESTS_PREFIX, SOCI_ARTIFACTS_PREFIX } from '../layout/keys.ts'
import { parseContentKey, parseTagKey } from '../layout/parse-key.ts'
import { asObject, parseJson } from '../oci/json.ts'
import { readHistory } from '../store/history.ts'
import { orImageFault } from '../store/image-fault.ts'
import { listKeys } from '../store/list-keys.ts'
import { readObject } from '../store/read-object.ts'
import { MAX_RECORD_BYTES, parseSignatureInfo } from '../store/signature-records.ts'

/** A file beside images that cannot be used; field names are those of `--output json`. */
export interface FileIssue {
  readonly key: string
  readonly message: string
  readonly hint: string
}

const READS_AT_ONCE = 20

/**
 * Reads what lies beside images: histories and signature records of the tags below an image-name
 * filter (empty, or ending in `/`), and, without one, records of SOCI indexes. `besideTags`: the keys of
 * all files beside the manifests of tags.
 */
export async function checkFiles(
  backend: StorageBackend,
  filter: string,
  besideTags: readonly string[],
  { signal: outer }: CallOptions,
): Promise<readonly FileIssue[]> {
  const issues: FileIssue[] = []
  await forEachConcurrent(
    listFiles(backend, filter, besideTags, { signal: outer }),
    READS_AT_ONCE,
    async ({ key, hint, read }, signal) => {
      const fault = await orImageFault(() => read(backend, key, { signal }))
      if (isS3loError(fault)) issues.push({ key, message: `${key}: ${fault.message}`, hint })
    },
    outer,
  )
  return issues.toSorted((a, b) => (a.key < b.key ? -1 : 1))
}

/** Throws what is wrong with the object; one that is gone is not wrong. */
type Read = (backend: StorageBackend, key: string, options: CallOptions) => Promise<unknown>

interface CheckedFile {
  readonly key: string
  readonly hint: string
  readonly read: Read
}

async function* listFiles(
  backend: StorageBackend,
  filter: string,
  besideTags: readonly string[],
  options: CallOptions,
): AsyncGenerator<CheckedFile, void> {
  for (const key of besideTags) {
    const file = key.startsWith(MANIFESTS_PREFIX + filter) ? toFile(key) : undefined
    if (file) yield file
  }
  if (filter !== '') return
  for await (const key of listKeys(backend, SOCI_ARTIFACTS_PREFIX, options)) {
    const file = toFile(key)
    if (file) yield file
  }
}

function toFile(key: string): CheckedFile | undefined {
  const hint = `make it again, or remove the object ${key}`
  const tagged = parseTagKey(key)
  if (tagged?.kind === 'history') {
    const next = `the next push of ${tagged.image}:${tagged.tag} mends it`
    return { key, hint: next, read: readHistory }
  }
  if (tagged?.kind === 'signature') return { key, hint, read: readSignature }
  const content = parseContentKey(key)
  return content?.kind === 'record' ? { key, hint, read: readRecord } : undefined
}

const readSignature: Read = async (backend, key, options) => {
  const content = await readObject(backend, key, MAX_RECORD_BYTES, options)
  if (!content || parseSignatureInfo(content, key)) return
  throw new S3loError('INTEGRITY', 'it is not a signature record')
}

const readRecord: Read = async (backend, key, options) => {
  const content = await readObject(backend, key, MAX_RECORD_BYTES, options)
  return content && asObject(parseJson(content, key), key)
}
