import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { imageFixture } from '@s3lo/core/testing'

const packages = join(import.meta.dirname, '../..')

it('has an example in its README that runs as it is written', async () => {
  const readme = await readFile(join(packages, 'signing/README.md'), 'utf8')
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = await mkdtemp(join(tmpdir(), 's3lo-readme-'))
  try {
    const { root } = imageFixture({ layers: ['a layer'] })
    const tag = join(folder, 'store/manifests/app/v1')
    await mkdir(tag, { recursive: true })
    await writeFile(join(tag, 'manifest.json'), root.content)
    const scope = join(folder, 'node_modules/@s3lo')
    await mkdir(scope, { recursive: true })
    for (const name of ['core', 'signing', 'backend-local']) {
      await symlink(join(packages, name), join(scope, name))
    }
    await writeFile(join(folder, 'example.mjs'), example)
    const run = promisify(execFile)
    const args = ['--conditions=s3lo-source', 'example.mjs']
    const { stdout } = await run(execPath, args, { cwd: folder, env: { HOME: folder } })
    expect(stdout.trim()).toBe(`true ${root.descriptor.digest}`)
  } finally {
    await rm(folder, { recursive: true })
  }
})
