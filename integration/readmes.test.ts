import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import local from '@s3lo/backend-local/plugin'
import { createHost } from '@s3lo/core'
import docker from '@s3lo/source-docker/plugin'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { EXAMPLE_IMAGE, readExample, runExample } from './readme-example.ts'
import type { Environment } from './source-cli.ts'

const blobs = [...EXAMPLE_IMAGE.content].map(() => /^skip [0-9a-f]{12} \d+$/)

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-readme-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** What an example has printed, and the digest of app:v1. */
interface Ran {
  readonly printed: string
  readonly digest: string
}

/** Runs the example of a page in a folder with `store`, in which there is app:v1. */
async function runBesideStore(page: string, env: Environment = {}): Promise<Ran> {
  const example = await readExample(page)
  const host = createHost({ plugins: [local, docker], env: {} })
  await runExample({ code: '', packages: [] }, folder)
  const to = `local://${folder}/store//app:v1`
  const { digest } = await host.push(`oci:${folder}/layout:v1`, to)
  return { digest, printed: await runExample(example, folder, env) }
}

async function configureStore(text: string): Promise<void> {
  await mkdir(join(folder, 'store'))
  await writeFile(join(folder, 'store/s3lo.yaml'), text)
}

it.each<[string, (digest: string) => readonly unknown[]]>([
  ['README.md', (digest) => [expect.stringMatching(`^${digest} \\d+$`), "app [ 'v1' ]"]],
  [
    'packages/core/README.md',
    () => [
      "[ { name: 'app', tags: [ 'v1' ] } ]",
      ...blobs.map((blob) => expect.stringMatching(blob)),
    ],
  ],
  ['packages/source-docker/README.md', () => [EXAMPLE_IMAGE.root.descriptor.digest]],
  ['packages/signing/README.md', (digest) => [`true ${digest}`]],
  ['packages/serve/README.md', (digest) => [digest]],
  ['packages/views/README.md', () => ['app:v1    3.0 MB 0']],
  [
    'docs/library.md',
    (digest) => [
      expect.stringMatching(`^pushed ${digest} (.+) of \\1$`),
      'listed app v1',
      'listed team/app v1 v2',
      'verified true',
      'stopped: enough',
    ],
  ],
])('the example of %s runs as it is printed', async (page, lines) => {
  const { printed, digest } = await runBesideStore(page)
  expect(printed.trimEnd().split('\n')).toEqual(lines(digest))
})

it('the example of packages/soci/README.md runs as it is printed', async () => {
  await configureStore('chunked: false\n')
  const { printed } = await runBesideStore('packages/soci/README.md')
  expect(printed).toMatch(/^sha256:\w{64}\n$/)
})

it('the example of packages/backend-local/README.md runs as it is printed', async () => {
  const printed = await runExample(await readExample('packages/backend-local/README.md'), folder)
  expect(printed).toBe('hello/world 2\n')
})

it('the example of packages/policy/README.md runs as it is printed', async () => {
  await configureStore('policies:\n- {check: size, max_bytes: 1}\n')
  const { printed } = await runBesideStore('packages/policy/README.md')
  expect(printed).toMatch(/^false \[\s+\{[^]*check: 'size',\s+passed: false,/)
})

it('the example of packages/scanner-trivy/README.md runs as it is printed', async () => {
  const report = '{"SchemaVersion": 2}'
  const bin = join(folder, 'bin')
  await mkdir(bin)
  await writeFile(join(bin, 'trivy'), `#!/bin/sh\necho '${report}'; exit 86\n`)
  await chmod(join(bin, 'trivy'), 0o755)
  const PATH = [bin, process.env['PATH']].join(delimiter)
  const { printed } = await runBesideStore('packages/scanner-trivy/README.md', { PATH })
  expect(printed).toBe(`true ${report}\n\n`)
})

it('the cases of packages/backend-conformance/README.md run without vitest', async () => {
  const printed = await runExample(
    await readExample('packages/backend-conformance/README.md', 1),
    folder,
  )
  const lines = printed.trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(50)
  expect(lines.filter((line) => !/ (holds|is skipped: .+)$/.test(line))).toEqual([])
})
