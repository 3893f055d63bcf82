import { mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder and those above it that are missing, and gives the topmost that was made;
 * `undefined` where the folder was there. Throws what `mkdir` throws, `EEXIST` for a file in its
 * place. Node's own recursive `mkdir` never ends on a file system that answers `ENOENT` to all that is
 * asked of it, such as `/proc`.
 */
export async function makeFolder(
  path: string,
  { mode = 0o777 }: { readonly mode?: number } = {},
): Promise<string | undefined> {
  const missing: string[] = []
  let top: string | undefined
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      if (await makeOne(at, mode)) top = at
      break
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || dirname(at) === at) throw error
      missing.push(at)
    }
  }
  for (const folder of missing.toReversed()) {
    if (await makeOne(folder, mode)) top ??= folder
  }
  return top
}

/** False where the folder is there already. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
    return true
  } catch (error) {
    if (await isFolder(path)) return false
    throw error
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false // What `mkdir` said of it matters.
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
