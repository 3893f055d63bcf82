import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** What CI insists on: a comma-separated list such as `data,engines`. */
const REQUIRED = new Set((process.env['S3LO_REQUIRE'] ?? '').split(','))

/**
 * A value that a suite needs from outside. Without it the suite is skipped, with the reason
 * printed, except where S3LO_REQUIRE names its kind: there it fails.
 */
function required(kind: string, variable: string, what: string): string | undefined {
  const value = process.env[variable]
  if (value) return value
  const reason = `${what} is not there: set ${variable}`
  if (REQUIRED.has(kind)) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
}

/** A folder of real test data below S3LO_TEST_DATA. */
export function requiredData(name: string): string | undefined {
  const root = required('data', 'S3LO_TEST_DATA', `real test data (${name})`)
  if (root === undefined) return undefined
  const path = join(root, name)
  if (!existsSync(path)) throw new Error(`S3LO_TEST_DATA has no ${name}`)
  return path
}

/** The address of a service of one kind, that its start script prints. */
export function requiredService(kind: string, variable: string): string | undefined {
  return required(kind, variable, `a service (${kind})`)
}
