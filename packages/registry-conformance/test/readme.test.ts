import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { FEATURES } from '../src/index.ts'
import { type MemoryRegistry, startRegistry } from './support/memory-registry.ts'

const PACKAGE = join(import.meta.dirname, '..')
let registry: MemoryRegistry
let folder: string

beforeAll(async () => {
  registry = await startRegistry()
  folder = await mkdtemp(join(tmpdir(), 's3lo-conformance-readme-'))
})
afterAll(async () => {
  await registry.stop()
  await rm(folder, { recursive: true })
})

it('the example of the README runs as it is printed', async () => {
  const page = await readFile(join(PACKAGE, 'README.md'), 'utf8')
  const [, code = ''] = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, text = '']) => text)
  await mkdir(join(folder, 'node_modules/@s3lo'), { recursive: true })
  await symlink(PACKAGE, join(folder, 'node_modules/@s3lo/registry-conformance'), 'junction')
  await writeFile(join(folder, 'example.mts'), code.replace("['tags/']", "['tags/', 'referrers/']"))
  const args = ['--conditions=s3lo-source', '--disable-warning=ExperimentalWarning', 'example.mts']
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'], REGISTRY: registry.url },
  })
  const lines = stdout.trimEnd().split('\n')
  expect(lines.length).toBe(5)
  for (const line of lines) expect(line).toMatch(/^skipped referrers\/.*declared absent: referrers/)
})

it('the README names features that there are', async () => {
  const page = await readFile(join(PACKAGE, 'README.md'), 'utf8')
  const named = [...page.matchAll(/`lacks ([\w-]+):|without: \['([\w-]+)'\]|such as `([\w-]+)`/g)]
  expect(named.length).toBe(3)
  for (const [, ...names] of named) expect(FEATURES).toContain(names.find((name) => name))
})
