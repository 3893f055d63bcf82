import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeLayout } from './layout.ts'

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
