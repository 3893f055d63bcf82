import { readFileSync, writeSync } from 'node:fs'

/** What this build is. */
export interface Version {
  readonly version: string
  /** The commit it was built from, or `none`: a release writes it to `gitHead` of its package.json. */
  readonly commit: string
}

/** Reads the version from the package that this file is a part of. */
export function readVersion(): Version {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const { version = 'dev', gitHead = 'none' } = JSON.parse(text) as Record<string, string>
  return { version, commit: gitHead.slice(0, 12) }
}

/** `s3lo <version> (<commit>)`. */
export function versionLine({ version, commit }: Version = readVersion()): string {
  return `s3lo ${version} (${commit})`
}

/**
 * Answers a command line that asks for the version alone, without loading anything else. False for
 * any other, and when the answer cannot be written: then it is an error, told as any other.
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
