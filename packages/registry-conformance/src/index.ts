export type {
  CaseContext,
  CheckResult,
  ConformanceCase,
  ConformanceSuite,
} from './conformance-case.ts'
export { type Feature, FEATURES, featureFacts, type SpecVersion } from './feature.ts'
export type { Credentials, RegistryUnderTest } from './registry-under-test.ts'
export { ConformanceRun, runConformance } from './run.ts'
export { suites } from './suites.ts'
