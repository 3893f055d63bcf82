/**
 * `pnpm test`: all tests that are quick and need nothing but this machine. With S3LO_COVERAGE set, the tests of
 * core run before the others, and fail where they reach too few of its lines: what the tests of other packages
 * reach of core does not count. Arguments are vitest's.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const VITEST = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')
const OTHERS = ['packages', 'unit', 'soci', 'contract']
const isMeasured = process.env['S3LO_COVERAGE'] !== undefined

if (isMeasured) test(['core'], ['--coverage'])
test(isMeasured ? OTHERS : ['core', ...OTHERS])

/** Ends this process where a test fails. */
function test(projects: readonly string[], options: readonly string[] = []): void {
  const chosen = projects.flatMap((project) => ['--project', project])
  const args = [VITEST, 'run', ...chosen, ...options, ...process.argv.slice(2)]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
