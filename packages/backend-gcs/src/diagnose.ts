import { asArray, asObject, type Finding, type JsonObject, optional } from '@s3lo/core/plugin'
import { type CallSettings, RequestError } from '@s3lo/core/transfer'
import { sayBucketMissing } from './errors.ts'
import type { GcsClient } from './gcs-client.ts'

const FIELDS = [
  'versioning',
  'softDeletePolicy',
  'lifecycle',
  'retentionPolicy',
  'defaultEventBasedHold',
  'iamConfiguration',
  'billing',
  'storageClass',
  'autoclass',
].join(',')
const DAY_SECONDS = 86_400

/** Remarks on the bucket's settings; one notice where they may not be read. */
export async function* diagnoseBucket(
  client: GcsClient,
  settings: CallSettings,
): AsyncGenerator<Finding, void> {
  const bucket = await readSettings(client, settings)
  if (bucket === undefined) {
    yield {
      severity: 'notice',
      message: `the settings of gs://${client.bucket} cannot be read`,
      hint: 'grant storage.buckets.get (roles/storage.bucketViewer) to have them checked',
    }
    return
  }
  for (const check of CHECKS) {
    const finding = check(bucket)
    if (finding) yield finding
  }
}

async function readSettings(
  client: GcsClient,
  settings: CallSettings,
): Promise<JsonObject | undefined> {
  try {
    return await client.requests.trySend(settings, (attempt) =>
      client
        .json({ method: 'GET', path: '', query: { fields: FIELDS } }, attempt)
        .catch(sayBucketMissing(client.bucket)),
    )
  } catch (error) {
    if (error instanceof RequestError && error.failure.status === 403) return undefined
    throw error
  }
}

type Check = (bucket: JsonObject) => Finding | undefined

const CHECKS: readonly Check[] = [
  ofVersioning,
  ofSoftDelete,
  ofRetention,
  ofHolds,
  ofLifecycle,
  ofAccess,
  ofStorageClass,
  ofPayer,
]

function ofVersioning(bucket: JsonObject): Finding | undefined {
  const { enabled } = memberOf(bucket, 'versioning')
  if (enabled !== true) return undefined
  return {
    severity: 'notice',
    message: 'versioning is on: what is deleted or replaced is kept as an old version, and billed',
    hint: 'let a lifecycle rule delete noncurrent versions',
  }
}

function ofSoftDelete(bucket: JsonObject): Finding | undefined {
  const { retentionDurationSeconds } = memberOf(bucket, 'softDeletePolicy')
  const days = Number(retentionDurationSeconds ?? 0) / DAY_SECONDS
  if (!(days > 0)) return undefined
  return {
    severity: 'notice',
    message: `soft delete is on: what is deleted or replaced is kept for ${rounded(days)} days, and billed`,
    hint: 'turn it off where images are rebuilt anyway: gcloud storage buckets update --clear-soft-delete',
  }
}

function ofRetention(bucket: JsonObject): Finding | undefined {
  const { retentionPeriod, isLocked } = memberOf(bucket, 'retentionPolicy')
  const days = Number(retentionPeriod ?? 0) / DAY_SECONDS
  if (!(days > 0)) return undefined
  const kind = isLocked === true ? 'a locked retention policy' : 'a retention policy'
  return {
    severity: 'problem',
    message: `${kind} keeps every object for ${rounded(days)} days: tags cannot be moved or deleted meanwhile`,
    hint: 'use a bucket without a retention policy, and immutable tags of s3lo',
  }
}

function ofHolds(bucket: JsonObject): Finding | undefined {
  if (bucket['defaultEventBasedHold'] !== true) return undefined
  return {
    severity: 'problem',
    message: 'every new object is put on hold: tags cannot be moved or deleted',
    hint: 'turn it off: gcloud storage buckets update --no-default-event-based-hold',
  }
}

function ofLifecycle(bucket: JsonObject): Finding | undefined {
  const rules = optional(memberOf(bucket, 'lifecycle'), 'rule', 'lifecycle', asArray) ?? []
  const deleting = rules.filter((rule) => deletesLiveObjects(asObject(rule, 'a rule')))
  if (deleting.length === 0) return undefined
  return {
    severity: 'problem',
    message:
      'a lifecycle rule deletes objects by their age: it destroys images that are still tagged',
    hint: 'delete old images with s3lo, which knows what is still used',
  }
}

/** Rules for old versions and for uploads that were given up harm no image. */
function deletesLiveObjects(rule: JsonObject): boolean {
  if (memberOf(rule, 'action')['type'] !== 'Delete') return false
  const condition = memberOf(rule, 'condition')
  const isForOldVersions =
    condition['isLive'] === false ||
    ['daysSinceNoncurrentTime', 'noncurrentTimeBefore', 'numNewerVersions'].some(
      (name) => condition[name] !== undefined,
    )
  return !isForOldVersions
}

function ofAccess(bucket: JsonObject): Finding | undefined {
  const { uniformBucketLevelAccess } = memberOf(bucket, 'iamConfiguration')
  const { enabled } = asObject(uniformBucketLevelAccess ?? {}, 'uniformBucketLevelAccess')
  if (enabled === true) return undefined
  return {
    severity: 'notice',
    message: 'uniform bucket-level access is off: single objects may be readable by others',
    hint: 'turn it on: gcloud storage buckets update --uniform-bucket-level-access',
  }
}

function ofStorageClass(bucket: JsonObject): Finding | undefined {
  const { storageClass } = bucket
  const isCold = ['NEARLINE', 'COLDLINE', 'ARCHIVE'].some((name) => name === storageClass)
  if (!isCold) return undefined
  return {
    severity: 'notice',
    message: `the bucket's storage class is ${String(storageClass)}, which charges for reads and for early deletion`,
    hint: 'use STANDARD or Autoclass for images that are pulled',
  }
}

function ofPayer(bucket: JsonObject): Finding | undefined {
  if (memberOf(bucket, 'billing')['requesterPays'] !== true) return undefined
  return {
    severity: 'notice',
    message:
      'the requester pays: everybody who pulls names a project in GOOGLE_CLOUD_QUOTA_PROJECT',
  }
}

function memberOf(object: JsonObject, name: string): JsonObject {
  return optional(object, name, 'bucket', asObject) ?? {}
}

function rounded(days: number): number {
  return Math.round(days * 10) / 10
}
