import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')

/** A file as the guide prints it: its name in bold, then its content as a code block. */
const PRINTED_FILE = /^\*\*`([^`]+)`\*\*\n+```\w+\n(.*?)^```/gms

/** What the guide's package gets from `npm install`; here it comes from the workspace. */
const DEPENDENCIES: Readonly<Record<string, string>> = {
  '@s3lo/core': 'packages/core',
  '@s3lo/backend-conformance': 'packages/backend-conformance',
  '@types/node': 'node_modules/@types/node',
  typescript: 'node_modules/typescript',
  vitest: 'node_modules/vitest',
}

/** Writes the package of docs/writing-a-backend.md, with its dependencies in place. Returns its files. */
export async function writeGuidePackage(folder: string): Promise<readonly string[]> {
  const guide = await readFile(join(ROOT, 'docs/writing-a-backend.md'), 'utf8')
  const files: string[] = []
  for (const [, name = '', content = ''] of guide.matchAll(PRINTED_FILE)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
    files.push(name)
  }
  for (const [name, path] of Object.entries(DEPENDENCIES)) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, path), link, 'junction')
  }
  return files
}
