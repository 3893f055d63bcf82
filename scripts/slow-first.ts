import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files of integration tests that take minutes each. */
const SLOW: ReadonlySet<string> = new Set([
  'serve-conformance.integration.ts',
  's3.integration.ts',
  'azure.integration.ts',
  'kills.integration.ts',
  'crash.integration.ts',
])

/** Begins with the slowest files: one that begins last leaves the other processors idle. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isSlow = ({ moduleId }: TestSpecification): boolean => SLOW.has(basename(moduleId))
    const sorted = await super.sort(files)
    return [...sorted.filter(isSlow), ...sorted.filter((file) => !isSlow(file))]
  }
}
