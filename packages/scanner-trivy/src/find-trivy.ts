import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { S3loError } from '@s3lo/core/plugin'

/** What decides which Trivy is run. */
export interface TrivySettings {
  /** The executable; nothing else is looked for. */
  readonly trivyPath?: string | undefined
  /** Whether one that is missing is installed without a question. */
  readonly installTrivy?: boolean | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The Trivy to run: the one that is named (`trivyPath`, then `S3LO_TRIVY`), else the first on
 * `PATH`, else the one in `~/.local/bin`; `undefined` when there is none. Throws `NOT_FOUND` for one
 * that is named and not there. The path is absolute.
 */
export async function findTrivy(
  { trivyPath }: TrivySettings,
  env: Environment,
): Promise<string | undefined> {
  const named = trivyPath ?? (env['S3LO_TRIVY'] || undefined)
  if (named !== undefined) {
    // As a path, or else a bare name would be looked for on PATH when it is run.
    const file = resolve(named)
    if (await isProgram(file)) return file
    const source = trivyPath === undefined ? 'S3LO_TRIVY' : '--trivy-path'
    throw new S3loError('NOT_FOUND', `${named} is no program that can be run`, {
      hint: `${source} names it`,
    })
  }
  for (const folder of searchPath(env)) {
    const file = join(folder, executableName())
    if (await isProgram(file)) return file
  }
  return undefined
}

/** Where Trivy is installed by us. */
export function installFolder(env: Environment): string {
  return join(env['HOME'] || homedir(), '.local', 'bin')
}

/** The file name of Trivy on this system. */
export function executableName(): string {
  return process.platform === 'win32' ? 'trivy.exe' : 'trivy'
}

/** Never a folder relative to the working directory, which could hold a foreign program. */
function searchPath(env: Environment): readonly string[] {
  const folders = (env['PATH'] ?? '').split(delimiter)
  return [...folders.filter(isAbsolute), installFolder(env)]
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return (await stat(file)).isFile() // Folders may be "executed" as well.
  } catch {
    return false // It cannot be run, for any reason: the next place may have one.
  }
}
