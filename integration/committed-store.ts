import { cp, mkdtemp, readdir, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { STORES } from './go-stores.ts'

/** A copy of a committed store in a folder of its own, every file as old as the store. */
export async function copyCommitted(name: string, made: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `s3lo-${name}-`))
  await cp(join(STORES, name), folder, { recursive: true })
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await utimes(join(entry.parentPath, entry.name), made / 1000, made / 1000)
  }
  return folder
}
