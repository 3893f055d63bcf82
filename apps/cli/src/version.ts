import { readFileSync } from 'node:fs'

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
