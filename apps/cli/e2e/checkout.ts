import { cp, mkdir, readdir, readFile, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ROOT, run } from './sandbox.ts'

/** The workspace packages that are published, by their folders. */
export async function publishedPackages(): Promise<readonly string[]> {
  const folders = [
    'apps/cli',
    ...(await readdir(join(ROOT, 'packages'))).map((name) => `packages/${name}`),
  ]
  const descriptions = await Promise.all(
    folders.map((folder) => readFile(join(ROOT, folder, 'package.json'), 'utf8')),
  )
  return folders.filter(
    (_, i) => !(JSON.parse(descriptions[i] ?? '{}') as { private?: boolean }).private,
  )
}

/**
 * Makes a clone as it is after `pnpm install`: the files of this checkout that git knows or would
 * take, what was installed here, and nothing that was built.
 */
export async function cloneUnbuilt(folder: string): Promise<void> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await run('git', args, { cwd: ROOT, maxBuffer: 1 << 26 })
  const files = stdout
    .split('\0')
    .filter((file) => /^(?:apps|packages|scripts)\/|^[^/]+$/.test(file))
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    // Deleted but still in the index, at most.
    await cp(join(ROOT, file), join(folder, file)).catch(() => {})
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const name of await publishedPackages()) {
    const modules = join(name, 'node_modules')
    const filter = (path: string): boolean => !/[/\\]\.(?:tsbuildinfo|vite|cache)/.test(path)
    const options = { recursive: true, verbatimSymlinks: true, filter }
    await cp(join(ROOT, modules), join(folder, modules), options).catch(() => {})
  }
}
