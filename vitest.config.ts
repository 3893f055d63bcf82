import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { SlowFirst } from './scripts/slow-first.ts'

// Tests run the sources: the packages' `s3lo-source` export condition points at `src`.
const conditions = ['s3lo-source', 'node', 'import', 'default']
/** Tests of many seconds each: volumes, whole matrices, all orders of events. `pnpm test:long` runs them. */
const LONG = ['packages/*/test/**/*.long.test.ts', 'integration/*.long.test.ts']
/** The unit tests of core: two of five files. */
const CORE = 'packages/core/test/**/*.test.ts'
/** Its worker threads have processes of their own, as in the command line: one that is used on and on was seen to crash. */
const SOCI = 'packages/soci/test/**/*.test.ts'
// Processes of the sources are started many times: Node keeps what it made of them.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/node')
// No test fills the cache of the user who runs it.
process.env['S3LO_FRAME_CACHE'] ??= '0'
const shared = { resolve: { conditions }, ssr: { resolve: { conditions } } }

export default defineConfig({
  ...shared,
  test: {
    maxWorkers: '100%',
    sequence: { sequencer: SlowFirst },
    coverage: {
      provider: 'v8',
      // What core's own tests reach.
      include: ['packages/core/src/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 85 },
    },
    projects: [
      {
        ...shared,
        test: {
          name: 'soci',
          include: [SOCI],
          exclude: LONG,
          setupFiles: ['scripts/fixed-seed.ts'],
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'unit',
          include: ['apps/cli/test/**/*.test.ts', 'integration/*.test.ts'],
          exclude: LONG,
          setupFiles: ['scripts/fixed-seed.ts'],
          isolate: false,
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'packages',
          include: ['packages/*/test/**/*.test.ts'],
          exclude: ['**/conformance.test.ts', CORE, SOCI, ...LONG],
          setupFiles: ['scripts/fixed-seed.ts'],
          isolate: false,
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'core',
          include: [CORE],
          exclude: LONG,
          setupFiles: ['scripts/fixed-seed.ts'],
          // A process loads the sources once for all of its files: that is most of what a small file costs.
          isolate: false,
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'contract',
          include: ['packages/*/test/conformance.test.ts'],
          setupFiles: ['scripts/fixed-seed.ts'],
          testTimeout: 60_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'long',
          include: LONG,
          setupFiles: ['scripts/fixed-seed.ts'],
          testTimeout: 300_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'integration',
          include: ['packages/*/test/**/*.integration.ts', 'integration/**/*.integration.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'e2e',
          include: ['apps/cli/e2e/**/*.e2e.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
