import { readFileSync, writeSync } from 'node:fs'

/** The commit that `scripts/bundle-cli.ts` builds from: a constant of the bundle, which the sources lack. */
declare const S3LO_COMMIT: string

/** What this build is. */
export interface Version {
  readonly version: string
  /** The commit that the bundle was built from, with `-dirty` after changes; `development` for the sources. */
  readonly commit: string
}

/** Reads the version from the package that this file is a part of. */
export function readVersion(): Version {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version = 'dev' } = JSON.parse(text) as Record<string, string>
  return { version, commit: typeof S3LO_COMMIT === 'undefined' ? 'development' : S3LO_COMMIT }
}

/** `s3lo <version> (<commit>)`. */
export function versionLine({ version, commit }: Version = readVersion()): string {
  return `s3lo ${version} (${commit})`
}

/**
 * Answers a command line that asks for the version alone, without loading anything else. False for
 * any other, and when the answer cannot be written: the caller then runs the command as any other.
 */
export function printVersion(argv: readonly string[]): boolean {
  if (argv.length !== 1 || (argv[0] !== '--version' && argv[0] !== 'version')) return false
  try {
    writeSync(1, `${versionLine()}\n`)
    process.exitCode = 0
    return true
  } catch {
    return false
  }
}
