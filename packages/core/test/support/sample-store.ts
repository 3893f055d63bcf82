import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MemoryBackend } from '../../src/testing/index.ts'

/**
 * A real store that the Go program wrote, in memory, or `undefined` where S3LO_TEST_DATA is not
 * set: the reason is printed, and S3LO_REQUIRE=data makes it a failure.
 */
export async function sampleStore(): Promise<MemoryBackend | undefined> {
  const root = process.env['S3LO_TEST_DATA']
  if (root) return readFolder(join(root, 'alpine-store'))
  const reason = 'real test data (alpine-store) is not there: set S3LO_TEST_DATA'
  if ((process.env['S3LO_REQUIRE'] ?? '').split(',').includes('data')) throw new Error(reason)
  process.stderr.write(`skipped: ${reason}\n`)
  return undefined
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
