import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MemoryBackend, requiredVariables } from '../../src/testing/index.ts'

/**
 * A real store that the Go program wrote, in memory, or `undefined` where S3LO_TEST_DATA is not
 * set.
 */
export async function sampleStore(): Promise<MemoryBackend | undefined> {
  const found = requiredVariables('data', ['S3LO_TEST_DATA'], 'it names a folder of real test data')
  return found && readFolder(join(found.S3LO_TEST_DATA, 'alpine-store'))
}

async function readFolder(folder: string): Promise<MemoryBackend> {
  const backend = new MemoryBackend()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    await backend.put(path.slice(folder.length + 1), await readFile(path))
  }
  return backend
}
