import type { BlobServiceProperties, ContainerGetPropertiesResponse } from '@azure/storage-blob'
import { type CallOptions, documentationOf, type Finding } from '@s3lo/core/plugin'
import { RequestError, type Requests, toThrown } from '@s3lo/core/transfer'
import type { Container } from './container.ts'

/**
 * Remarks on the settings of a container and its account, as far as the blob service tells them.
 * Versioning and lifecycle rules are known to Azure's management API only, which is not asked.
 */
export async function* diagnoseContainer(
  container: Container,
  requests: Requests,
  { signal }: CallOptions,
): AsyncGenerator<Finding, void> {
  const what = `az://${container.name}`
  const own = await allowed(
    requests.trySend({ what, signal }, (attempt) =>
      container.client.getProperties({ abortSignal: attempt.signal }),
    ),
  )
  if (own) yield* judgeContainer(own)
  else yield unreadable('the settings of the container', 'Storage Blob Data Reader')
  const account = await allowed(
    requests.trySend({ what, signal }, (attempt) =>
      container.service.getProperties({ abortSignal: attempt.signal }),
    ),
  )
  if (account) yield judgeAccount(account)
  else yield unreadable('soft delete of the account', 'Storage Account Contributor')
  yield {
    severity: 'notice',
    message: 'versioning and lifecycle rules of the account are not checked',
    hint: 'az storage account blob-service-properties show, az storage account management-policy show',
  }
}

function* judgeContainer({
  blobPublicAccess,
  hasImmutabilityPolicy,
  hasLegalHold,
}: ContainerGetPropertiesResponse): Generator<Finding, void> {
  if (hasImmutabilityPolicy || hasLegalHold) {
    const kind = hasLegalHold ? 'a legal hold' : 'an immutability policy'
    yield {
      severity: 'problem',
      message: `${kind} keeps every blob of the container: tags cannot be moved or deleted meanwhile`,
      hint: `how to keep only what has to be kept: ${documentationOf('immutability.md')}`,
    }
  }
  if (blobPublicAccess) {
    yield {
      severity: 'notice',
      message: 'the container can be read by anybody',
      hint: 'az storage container set-permission --public-access off, unless it is meant to be',
    }
  }
}

function judgeAccount({ deleteRetentionPolicy: policy }: BlobServiceProperties): Finding {
  if (!policy?.enabled) {
    return { severity: 'ok', message: 'soft delete is off: what is deleted frees its space' }
  }
  return {
    severity: 'notice',
    message: `soft delete is on: what is deleted or replaced is kept for ${policy.days ?? 'some'} days, and billed`,
    hint: 'turn it off where images are rebuilt anyway: az storage account blob-service-properties update --enable-delete-retention false',
  }
}

function unreadable(what: string, role: string): Finding {
  return { severity: 'notice', message: `${what} cannot be read`, hint: `grant ${role} for that` }
}

/** The answer, or `undefined` where the credentials may not ask or the service does not answer that. */
async function allowed<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    const status = error instanceof RequestError ? error.failure.status : undefined
    if (status === 403 || status === 400 || status === 501) return undefined
    throw toThrown(error)
  }
}
