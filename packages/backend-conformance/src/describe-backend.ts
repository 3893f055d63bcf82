import { describe, it } from 'vitest'
import { type BackendUnderTest, runCase } from './conformance-case.ts'
import { suites } from './suites.ts'

/**
 * Declares the contract of a storage backend as vitest tests. A test of something that the backend
 * does not offer is skipped, and its note says what is missing.
 */
export function describeBackend(name: string, underTest: BackendUnderTest): void {
  describe(name, () => {
    for (const suite of suites) {
      describe(suite.name, () => {
        for (const testCase of suite.cases) {
          it(testCase.title, async ({ skip }) => {
            const reason = await runCase(underTest, testCase)
            if (reason !== undefined) skip(reason)
          })
        }
      })
    }
  })
}
