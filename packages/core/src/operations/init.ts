import { readConfigDocument } from '../config/edit-config.ts'
import type { CallOptions } from '../contract/call-options.ts'
import type {
  BackendGuarantees,
  StorageBackend,
  WriteCondition,
} from '../contract/storage-backend.ts'
import { isS3loError } from '../errors.ts'
import { BUCKET_CONFIG_KEY } from '../layout/keys.ts'
import { provenGuarantees } from '../store/guarantees.ts'
import { diagnose } from './provider-findings.ts'

/** One thing that was looked at; field names are those of `--output json`. */
export interface InitCheck {
  readonly label: string
  readonly ok: boolean
  readonly note?: string
}

/** How a store was found and what was done; field names are those of `--output json`. */
export interface InitResult {
  readonly bucket: string
  readonly checks: readonly InitCheck[]
  readonly config_wrote: boolean
}

/** What a store begins with. */
export const CONFIG_TEMPLATE = `# Settings of this s3lo store; s3lo config set changes them and keeps comments.
# s3lo clean --confirm removes tags beyond these rules; nothing else does.
default:
  lifecycle:
    keep_last: 10
    max_age: 90d
`

/**
 * Prepares a bucket or folder as a store: makes sure that it can be read and written, and writes
 * an `s3lo.yaml` unless there is one. What is there is never overwritten. Throws what keeps it from
 * looking or writing.
 */
export async function init(
  backend: StorageBackend,
  options: CallOptions = {},
): Promise<InitResult> {
  const existing = await checkConfig(backend, options)
  const guarantees = await provenGuarantees(backend, options)
  const wrote = existing === undefined && (await writeTemplate(backend, guarantees, options))
  const checks: InitCheck[] = [
    { label: 'the bucket can be read', ok: true },
    existing ?? configCheck(wrote),
    ...checkGuarantees(guarantees),
  ]
  for (const { severity, message, hint } of await diagnose(backend, options)) {
    checks.push({ label: message, ok: severity === 'ok', ...(hint ? { note: hint } : {}) })
  }
  return { bucket: backend.bucket, checks, config_wrote: wrote }
}

/** `undefined` when there is no file yet. */
async function checkConfig(
  backend: StorageBackend,
  options: CallOptions,
): Promise<InitCheck | undefined> {
  const label = `${BUCKET_CONFIG_KEY} is there`
  try {
    const { etag } = await readConfigDocument(backend, options)
    return etag === undefined ? undefined : { label, ok: true, note: 'left as it is' }
  } catch (error) {
    if (!isS3loError(error, 'INTEGRITY')) throw error
    return { label, ok: false, note: `left as it is, but it is not valid: ${error.message}` }
  }
}

/** False when another process wrote one first. */
async function writeTemplate(
  backend: StorageBackend,
  { createOnly }: BackendGuarantees,
  { signal }: CallOptions,
): Promise<boolean> {
  const content = new TextEncoder().encode(CONFIG_TEMPLATE)
  const condition: WriteCondition | undefined = createOnly ? { kind: 'absent' } : undefined
  if (!createOnly && (await backend.head(BUCKET_CONFIG_KEY, { signal }))) return false
  try {
    const size = content.byteLength
    const mediaType = 'application/yaml'
    await backend.put(BUCKET_CONFIG_KEY, content, { signal, size, mediaType, condition })
    return true
  } catch (error) {
    if (isS3loError(error, 'CONFLICT')) return false
    throw error
  }
}

function configCheck(wrote: boolean): InitCheck {
  return wrote
    ? { label: `${BUCKET_CONFIG_KEY} was written`, ok: true, note: 'keeps 10 tags, and 90 days' }
    : { label: `${BUCKET_CONFIG_KEY} is there`, ok: true, note: 'another process just wrote it' }
}

function checkGuarantees({
  createOnly,
  compareAndSwap,
  deadlines,
}: BackendGuarantees): readonly InitCheck[] {
  return [
    {
      label: 'the store can create without overwriting',
      ok: createOnly,
      ...(createOnly ? {} : { note: 'only clients keep immutable tags' }),
    },
    {
      label: 'the store can refuse to overwrite what has changed',
      ok: compareAndSwap,
      ...(compareAndSwap ? {} : { note: 'two edits at the same moment can lose one' }),
    },
    {
      label: 'the store can refuse requests that come too late',
      ok: deadlines,
      ...(deadlines ? {} : { note: 's3lo clean waits for every writer that it has seen start' }),
    },
  ]
}
