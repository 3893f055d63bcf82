export {
  ANSWER_VERBS,
  type AnswerMatrixOptions,
  type AnswerMatrixRow,
  type AnswerVerb,
  runAnswerMatrix,
} from './answer-matrix.ts'
export {
  type BackendUnderTest,
  type CaseContext,
  type ConformanceCase,
  type ConformanceSuite,
  type Need,
  runCase,
} from './conformance-case.ts'
export { describeBackend } from './describe-backend.ts'
export { describeFaults, type FaultsUnderTest } from './describe-faults.ts'
export type { FaultExtent } from './spoilings.ts'
export { suites } from './suites.ts'
