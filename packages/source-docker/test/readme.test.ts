import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { asBlobs, encode, layoutIndex, makeImage, makeLayer } from './images.ts'

const packageFolder = join(import.meta.dirname, '..')

it('has an example that runs as it is written', async () => {
  const readme = await readFile(join(packageFolder, 'README.md'), 'utf8')
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = await mkdtemp(join(tmpdir(), 's3lo-readme-'))
  try {
    const image = await makeImage([await makeLayer('readme')])
    const layers = image.layers.map(({ plain }) => plain)
    const files = {
      ...asBlobs([image.config, image.document.content, ...layers]),
      'index.json': layoutIndex([image.document.descriptor], 'app:v1'),
      'oci-layout': encode({ imageLayoutVersion: '1.0.0' }),
    }
    await mkdir(join(folder, 'layout', 'blobs', 'sha256'), { recursive: true })
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, 'layout', name), content)
    await mkdir(join(folder, 'node_modules', '@s3lo'), { recursive: true })
    await symlink(packageFolder, join(folder, 'node_modules', '@s3lo', 'source-docker'))
    await symlink(join(packageFolder, '..', 'core'), join(folder, 'node_modules', '@s3lo', 'core'))
    await writeFile(join(folder, 'example.mjs'), example)
    const run = promisify(execFile)
    const { stdout } = await run(execPath, ['--conditions=s3lo-source', 'example.mjs'], {
      cwd: folder,
    })
    expect(stdout.trim()).toBe(image.document.descriptor.digest)
  } finally {
    await rm(folder, { recursive: true })
  }
})
