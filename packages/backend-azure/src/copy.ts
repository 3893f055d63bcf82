import { type BlobClient, RestError } from '@azure/storage-blob'
import { type ObjectInfo, S3loError } from '@s3lo/core/plugin'
import {
  bareEtag,
  type CallSettings,
  type CopySettings,
  RequestError,
  type Requests,
  toThrown,
} from '@s3lo/core/transfer'
import { type BlobFacts, isWhole, quoted, toObjectInfo } from './object-info.ts'

const FIRST_POLL_MS = 500
const LONGEST_POLL_MS = 10_000
/** What remains of a copy is removed in this time, or left: its blob does not count as there. */
const CLEANUP_MS = 700

/**
 * Lets the service copy the blob at `source`, of any size, and waits for it. A copy that fails or
 * is aborted leaves nothing that counts as a blob. Throws `NOT_FOUND` without a source.
 */
export async function copyBlob(
  requests: Requests,
  target: BlobClient,
  source: string,
  settings: CopySettings,
): Promise<BlobFacts> {
  const copyId = await beginCopy(requests, target, source, settings)
  try {
    return await waitForCopy(requests, target, settings)
  } catch (error) {
    await removeRemains(target, copyId)
    throw error
  }
}

/** Sets the metadata that the blob has: the one write that changes no byte and no tier. */
export async function touchBlob(
  requests: Requests,
  client: BlobClient,
  key: string,
  settings: CallSettings,
): Promise<ObjectInfo> {
  for (let failures = 1; ; failures += 1) {
    const before = await requests.trySend(settings, ({ signal }) =>
      client.getProperties({ abortSignal: signal }),
    )
    if (!isWhole(before)) throw new S3loError('NOT_FOUND', `${settings.what} does not exist`)
    const found = toObjectInfo(key, before)
    try {
      const conditions = { ifMatch: quoted(found.etag) }
      const { etag, lastModified } = await requests.trySend(settings, ({ signal }) =>
        client.setMetadata(before.metadata ?? {}, { abortSignal: signal, conditions }),
      )
      return {
        ...found,
        ...(etag && { etag: bareEtag(etag) }),
        ...(lastModified && { lastModified }),
      }
    } catch (error) {
      // Another client wrote it meanwhile, or the answer to this write was lost: look again.
      const isChanged = error instanceof RequestError && error.failure.reason === 'ConditionNotMet'
      if (!isChanged || failures >= requests.policy.attempts) throw error
    }
  }
}

/** The id of the copy. One whose first answer was lost is under way, and is waited for all the same. */
async function beginCopy(
  requests: Requests,
  target: BlobClient,
  source: string,
  settings: CopySettings,
): Promise<string | undefined> {
  const { sourceEtag } = settings
  const sourceConditions =
    sourceEtag === undefined ? {} : { sourceConditions: { ifMatch: quoted(sourceEtag) } }
  let mayHaveLanded = false
  const onRetry = (): void => {
    mayHaveLanded = true
  }
  try {
    return await requests.trySend({ ...settings, onRetry }, async ({ signal }) => {
      // The first answer says all for most copies. The poller is left alone, as it heeds no signal
      // between two looks.
      const poller = await target
        .beginCopyFromURL(source, { abortSignal: signal, ...sourceConditions })
        .catch((error: unknown) => giveUpAtPending(error, mayHaveLanded))
      const state = poller.getOperationState()
      return 'copyId' in state && typeof state.copyId === 'string' ? state.copyId : undefined
    })
  } catch (error) {
    const thrown = toThrown(error)
    if (!(thrown instanceof PendingCopy)) throw thrown
  }
  const facts = await requests.send(settings, ({ signal }) =>
    target.getProperties({ abortSignal: signal }),
  )
  if (withoutQuery(facts.copySource) === withoutQuery(source)) return facts.copyId
  throw new S3loError('CONFLICT', `${settings.what} is being written by another client`)
}

/** Where a copy to the same blob is under way. */
class PendingCopy extends S3loError {}

function giveUpAtPending(error: unknown, mayHaveLanded: boolean): never {
  const reason = error instanceof RestError && error.response?.headers.get('x-ms-error-code')
  if (reason === 'PendingCopyOperation' && mayHaveLanded)
    throw new PendingCopy('CONFLICT', 'a copy is under way')
  throw error
}

/** A signature of limited access is shown by the service without its secrets. */
function withoutQuery(url: string | undefined): string | undefined {
  return url?.split('?')[0]
}

async function waitForCopy(
  requests: Requests,
  target: BlobClient,
  settings: CallSettings,
): Promise<BlobFacts> {
  for (let delayMs = FIRST_POLL_MS; ; delayMs = Math.min(2 * delayMs, LONGEST_POLL_MS)) {
    const facts = await requests.send(settings, ({ signal }) =>
      target.getProperties({ abortSignal: signal }),
    )
    if (facts.copyStatus === undefined || facts.copyStatus === 'success') return facts
    if (facts.copyStatus !== 'pending') {
      throw new S3loError(
        'UNAVAILABLE',
        `${settings.what}: the copy ended as ${facts.copyStatus}`,
        {
          hint: 'try again later',
        },
      )
    }
    await requests.pause(delayMs, settings.signal)
  }
}

/** The service keeps an empty blob where a copy was given up. */
async function removeRemains(target: BlobClient, copyId: string | undefined): Promise<void> {
  const abortSignal = AbortSignal.timeout(CLEANUP_MS)
  try {
    if (copyId !== undefined) await target.abortCopyFromURL(copyId, { abortSignal })
  } catch {
    // It was not under way any more, or cannot be reached: the next look tells which.
  }
  try {
    const { copyId: latest, copyStatus, etag = '' } = await target.getProperties({ abortSignal })
    if (latest !== copyId || copyStatus === 'success') return
    await target.delete({ abortSignal, conditions: { ifMatch: quoted(bareEtag(etag)) } })
  } catch {
    // The error that led here is the one to throw, and `isWhole` hides what is left.
  }
}
