import type { ConformanceSuite } from './conformance-case.ts'
import { abortSuite } from './suites/abort.ts'
import { conditionsSuite } from './suites/conditions.ts'
import { copySuite } from './suites/copy.ts'
import { deadlineSuite } from './suites/deadline.ts'
import { deleteSuite } from './suites/delete.ts'
import { getSuite } from './suites/get.ts'
import { headSuite } from './suites/head.ts'
import { listSuite } from './suites/list.ts'
import { linkSuite } from './suites/link.ts'
import { moveSuite } from './suites/move.ts'
import { presignSuite } from './suites/presign.ts'
import { putSuite } from './suites/put.ts'
import { touchSuite } from './suites/touch.ts'

/** The whole contract, as data: any test runner can run it with `runCase`. */
export const suites: readonly ConformanceSuite[] = [
  headSuite,
  getSuite,
  putSuite,
  listSuite,
  deleteSuite,
  conditionsSuite,
  deadlineSuite,
  copySuite,
  moveSuite,
  touchSuite,
  linkSuite,
  presignSuite,
  abortSuite,
]
