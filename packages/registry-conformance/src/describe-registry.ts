import { afterAll, beforeAll, describe, it } from 'vitest'
import type { CheckResult } from './conformance-case.ts'
import type { RegistryUnderTest } from './registry-under-test.ts'
import { ConformanceRun } from './run.ts'
import { suites } from './suites.ts'

/** Some cases send hundreds of requests; vitest's own limit may be less. */
const TIMEOUT_MS = 120_000

/**
 * Declares the specification as vitest tests, one for each case. `open` gives the registry, once.
 * What is skipped is counted on standard error, with the reason.
 */
export function describeRegistry(
  name: string,
  open: () => Promise<RegistryUnderTest> | RegistryUnderTest,
): void {
  const skipped = new Map<string, number>()
  describe(name, () => {
    let run: ConformanceRun
    beforeAll(async () => {
      run = new ConformanceRun(await open())
    })
    afterAll(() => {
      run.close()
      for (const [reason, count] of skipped) {
        process.stderr.write(`${name}: ${count} skipped, ${reason}\n`)
      }
    })
    for (const suite of suites) {
      describe(suite.name, () => {
        for (const testCase of suite.cases) {
          it(
            testCase.name,
            async ({ skip }) => {
              const results = await run.run(suite.name, testCase)
              const reasons = results.filter(({ outcome }) => outcome === 'skipped')
              for (const { reason = '' } of reasons) {
                skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
              }
              const failed = results.filter(({ outcome }) => outcome === 'failed')
              if (failed.length > 0) throw new Error(failed.map(describeFailure).join('\n'))
              if (reasons.length === results.length) skip(reasons[0]?.reason)
            },
            TIMEOUT_MS,
          )
        }
      })
    }
  })
}

function describeFailure({ name, reason = '', requests = [] }: CheckResult): string {
  return [`${name}: ${reason}`, ...requests.map((line) => `    ${line}`)].join('\n')
}
