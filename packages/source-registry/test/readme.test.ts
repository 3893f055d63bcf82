import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execPath } from 'node:process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { CONFIG, IMAGE, LAYER } from './images.ts'
import { MemoryRegistry } from './memory-registry.ts'

const packageFolder = join(import.meta.dirname, '..')

it('has an example that runs as it is written', async () => {
  const readme = await readFile(join(packageFolder, 'README.md'), 'utf8')
  const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const folder = await mkdtemp(join(tmpdir(), 's3lo-readme-'))
  const server = await MemoryRegistry.start()
  try {
    server.addManifest('app', 'v1', IMAGE.content, IMAGE.descriptor.mediaType)
    for (const { descriptor, content } of [CONFIG, LAYER])
      server.blobs.set(descriptor.digest, content)
    await mkdir(join(folder, 'node_modules', '@s3lo'), { recursive: true })
    await symlink(packageFolder, join(folder, 'node_modules', '@s3lo', 'source-registry'))
    await symlink(join(packageFolder, '..', 'core'), join(folder, 'node_modules', '@s3lo', 'core'))
    await writeFile(join(folder, 'example.mjs'), example.replaceAll('localhost:5000', server.host))
    const run = promisify(execFile)
    const { stdout } = await run(execPath, ['--conditions=s3lo-source', 'example.mjs'], {
      cwd: folder,
      env: { HOME: folder },
    })
    expect(stdout.trim()).toBe(IMAGE.descriptor.digest)
    expect(server.manifests.has('mirror/app/v1')).toBe(true)
  } finally {
    await server.stop()
    await rm(folder, { recursive: true })
  }
})
