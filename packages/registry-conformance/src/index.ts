export type {
  CaseContext,
  CheckResult,
  ConformanceCase,
  ConformanceSuite,
  Credentials,
  RegistryUnderTest,
} from './conformance-case.ts'
export { type Feature, FEATURES, featureFacts, type SpecVersion } from './feature.ts'
export { ConformanceRun, runConformance } from './run.ts'
export { suites } from './suites.ts'
