import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { imageFixture } from '@s3lo/core/testing'

const ROOT = join(import.meta.dirname, '../../..')
const run = promisify(execFile)

let folder: string

beforeEach(async () => {
  // Inside the package, so that the workspace's packages are found as an installed program finds them.
  folder = await mkdtemp(join(ROOT, 'apps/cli/node_modules/.readme-'))
  await writeLayout(join(folder, 'app'), 'v1')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe.each(['README.md', 'packages/core/README.md'])('the library example of %s', (page) => {
  it('runs as it is printed', async () => {
    const text = await readFile(join(ROOT, page), 'utf8')
    const example = /```ts\n(.*?)```/s.exec(text)?.[1]
    expect(example).toBeDefined()
    await mkdir(join(folder, 'store/manifests'), { recursive: true })
    await writeFile(join(folder, 'example.mjs'), example ?? '')
    const args = ['--conditions=s3lo-source', 'example.mjs']
    const { stderr } = await run(process.execPath, args, { cwd: folder })
    expect(stderr).toBe('')
  })
})

/** An OCI layout of one small image, written by hand. */
async function writeLayout(path: string, tag: string): Promise<void> {
  const { root, content } = imageFixture({ layers: ['one', 'two'] })
  const blobs = join(path, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  for (const [digest, bytes] of [...content, [root.descriptor.digest, root.content] as const]) {
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes)
  }
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  const manifests = [{ ...root.descriptor, annotations }]
  await writeFile(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
}
