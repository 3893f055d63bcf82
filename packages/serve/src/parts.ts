import {
  type ImageStore,
  type Membership,
  openMembership,
  openUploads,
  type Uploads,
} from '@s3lo/core'
import type { Call } from './call.ts'
import { createPushPolicies, type JudgePush, NO_TOOLS } from './judgement/push-policies.ts'
import { VerifiedImages } from './judgement/verified-images.ts'
import { ManifestReader } from './manifest-reader.ts'
import type { RegistryOptions } from './options.ts'

/** What endpoints work with. */
export interface Parts {
  readonly store: ImageStore
  readonly manifests: ManifestReader
  readonly uploads: Uploads
  readonly membership: Membership
  readonly judgePush: JudgePush
  /** Absent where every image is answered. */
  readonly verified: VerifiedImages | undefined
  readonly options: RegistryOptions
}

/** A request waits so long for a collector that may delete what it names (milliseconds). */
export const MAX_WAIT_MS = 20_000

/** The judge of images for a client; those who push have to read what they sign. */
export function judgeFor(
  { verified, options }: Parts,
  repository: string,
  { principal }: Pick<Call, 'principal'>,
): VerifiedImages | undefined {
  return mayPush({ options }, repository, { principal }) ? undefined : verified
}

export function mayPush(
  { options }: Pick<Parts, 'options'>,
  repository: string,
  { principal }: Pick<Call, 'principal'>,
): boolean {
  return !options.readOnly && principal.may({ action: 'push', repository })
}

export function openParts(store: ImageStore, options: RegistryOptions): Parts {
  const waiting = { who: 'serve', maxWaitMs: MAX_WAIT_MS }
  const membership = openMembership(store.backend, waiting)
  const manifests = new ManifestReader(store, membership)
  const { policyTools = NO_TOOLS, verification } = options
  return {
    store,
    manifests,
    uploads: openUploads(store.backend, { ...waiting, maxBytes: options.maxBlobBytes }),
    membership,
    judgePush: createPushPolicies(store, policyTools),
    verified: verification && new VerifiedImages({ store, manifests, membership }, verification),
    options,
  }
}
