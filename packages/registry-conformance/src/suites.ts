import type { ConformanceSuite } from './conformance-case.ts'
import { authSuite } from './suites/auth.ts'
import { dataSuite } from './suites/data.ts'
import { hostileSuite } from './suites/hostile.ts'
import { managementSuite } from './suites/management.ts'
import { pullSuite } from './suites/pull.ts'
import { pushBlobsSuite } from './suites/push-blobs.ts'
import { pushChunksSuite } from './suites/push-chunks.ts'
import { pushManifestsSuite } from './suites/push-manifests.ts'
import { pushRefusedSuite } from './suites/push-refused.ts'
import { referrersSuite } from './suites/referrers.ts'
import { tagsSuite } from './suites/tags.ts'

/** All of it, as data. */
export const suites: readonly ConformanceSuite[] = [
  pullSuite,
  pushBlobsSuite,
  pushChunksSuite,
  pushRefusedSuite,
  pushManifestsSuite,
  tagsSuite,
  referrersSuite,
  managementSuite,
  dataSuite,
  authSuite,
  hostileSuite,
]
