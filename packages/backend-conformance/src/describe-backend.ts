import { afterAll, describe, it } from 'vitest'
import { type BackendUnderTest, runCase } from './conformance-case.ts'
import { suites } from './suites.ts'

/** A case of thousands of keys takes a service seconds; vitest's own limit may be less. */
const TIMEOUT_MS = 60_000

/**
 * Declares the contract of a storage backend as vitest tests. A test of something that the backend
 * does not offer is skipped; its note, and a line on standard error, say what is missing.
 */
export function describeBackend(name: string, underTest: BackendUnderTest): void {
  const skipped = new Map<string, number>()
  describe(name, () => {
    afterAll(() => {
      for (const [reason, count] of skipped) {
        process.stderr.write(`${name}: ${count} skipped, ${reason}\n`)
      }
    })
    for (const suite of suites) {
      describe(suite.name, () => {
        for (const testCase of suite.cases) {
          it(
            testCase.title,
            async ({ skip }) => {
              const reason = await runCase(underTest, testCase)
              if (reason === undefined) return
              skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
              skip(reason)
            },
            TIMEOUT_MS,
          )
        }
      })
    }
  })
}
