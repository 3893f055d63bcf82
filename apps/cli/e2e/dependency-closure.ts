import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, realpath, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT, run } from './sandbox.ts'

interface Description {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/**
 * The names of everything that an installation of these workspace packages brings, themselves
 * included: what their packed descriptions name, then what is installed here, so that no package
 * registry is asked.
 */
export async function dependencyClosure(folders: readonly string[]): Promise<readonly string[]> {
  const names = new Set<string>()
  const seen = new Set<string>()
  const queue = folders.map((folder) => join(ROOT, folder))
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    if (seen.has(folder)) continue
    seen.add(folder)
    const description = folder.includes('node_modules')
      ? await installed(folder)
      : await packed(folder)
    names.add(description.name)
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } =
      description
    const needed = { ...dependencies, ...optionalDependencies, ...peerDependencies }
    for (const name of Object.keys(needed)) {
      // An optional peer is installed only by name.
      if (peerDependenciesMeta?.[name]?.optional) continue
      const found = await packageFolder(name, folder)
      if (found !== undefined) queue.push(found)
      // An optional one may be for another system; the name still counts.
      else if (dependencies && name in dependencies) throw new Error(`${name} is not installed`)
      names.add(name)
    }
  }
  return [...names].toSorted((a, b) => a.localeCompare(b))
}

async function installed(folder: string): Promise<Description> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Description
}

/** What a workspace package says of itself once it is published. */
async function packed(folder: string): Promise<Description> {
  const target = await mkdtemp(join(tmpdir(), 's3lo-packed-'))
  try {
    await run('pnpm', ['pack', '--pack-destination', target], { cwd: folder })
    const [file = ''] = await readdir(target)
    const { stdout } = await run('tar', ['-xOf', join(target, file), 'package/package.json'])
    return JSON.parse(stdout) as Description
  } finally {
    await rm(target, { recursive: true })
  }
}

// With a slash after it no name is that of a module of Node's own.
async function packageFolder(name: string, from: string): Promise<string | undefined> {
  const paths = createRequire(join(from, 'package.json')).resolve.paths(`${name}/`) ?? []
  const folder = paths.map((path) => join(path, name)).find((path) => existsSync(path))
  return folder === undefined ? undefined : realpath(folder)
}
