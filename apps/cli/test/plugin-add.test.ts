import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addPlugin, listPlugins, removePlugin } from '../src/plugin-store.ts'
import { FOO_PLUGIN, writePackageAt } from './plugin-packages.ts'

const hasNpm = spawnSync('npm', ['--version']).status === 0

let folder: string
let home: string
let env: Record<string, string | undefined>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-add-'))
  home = join(folder, 'home')
  env = {
    PATH: process.env['PATH'],
    HOME: folder,
    S3LO_CONFIG_HOME: home,
    npm_config_cache: join(folder, 'cache'),
    // Nothing listens there.
    npm_config_registry: 'http://127.0.0.1:9/',
  }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe.runIf(hasNpm)('adding a plugin that lies on this machine', () => {
  it('takes a folder, keeps a copy of it in a folder of the user alone, and says what it does', async () => {
    const path = join(folder, 'made here')
    await writePackageAt(path, '@acme/stores')
    const lines: string[] = []
    const added = await addPlugin(path, { env, onStatus: (line) => lines.push(line) })
    expect(added).toMatchObject({ name: '@acme/stores', version: '1.2.3', schemes: ['foo'] })
    expect(lines).toEqual([`Installing ${path} in ${home}`])
    expect((await stat(home)).mode & 0o777).toBe(0o700)
    await rm(path, { recursive: true })
    const names = (await listPlugins({ env })).filter(({ from }) => from === 'user')
    expect(names).toMatchObject([{ name: '@acme/stores', schemes: ['foo'] }])
    await removePlugin('@acme/stores', { env })
    expect((await listPlugins({ env })).filter(({ from }) => from === 'user')).toEqual([])
  })

  it('takes a tarball, twice the same and then a newer one of the same name', async () => {
    const made = join(folder, 'made')
    for (const version of ['1.2.3', '1.2.3', '1.3.0']) {
      await writePackageAt(made, 's3lo-backend-foo')
      spawnSync('npm', ['version', version, '--allow-same-version'], { cwd: made })
      spawnSync('npm', ['pack', '--pack-destination', folder], { cwd: made })
      const tarball = join(folder, `s3lo-backend-foo-${version}.tgz`)
      const added = await addPlugin(tarball, { env })
      expect(added).toMatchObject({ name: 's3lo-backend-foo', version })
    }
  })

  it('takes the group and everyone else off a folder that was open to them', async () => {
    await writePackageAt(join(folder, 'made'), 's3lo-backend-foo')
    await addPlugin(join(folder, 'made'), { env })
    await chmod(home, 0o777)
    await addPlugin(join(folder, 'made'), { env })
    expect((await stat(home)).mode & 0o777).toBe(0o700)
  })

  it.each([
    ['no mark', './plugin.js', ['s3lo']],
    ['no entry', undefined, ['s3lo-plugin']],
  ])('refuses a package with %s before anything of it runs', async (_, entry, keywords) => {
    const ran = join(folder, 'ran')
    const code = `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(ran)}, '')
      ${FOO_PLUGIN}`
    await writePackageAt(join(folder, 'made'), 'lodash', code, entry ?? {}, keywords)
    await expect(addPlugin(join(folder, 'made'), { env })).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
    })
    await expect(stat(ran)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readdir(home)).toEqual([])
  })

  it('refuses a copy of what came with s3lo', async () => {
    await writePackageAt(join(folder, 'made'), '@s3lo/backend-local')
    await expect(addPlugin(join(folder, 'made'), { env })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await readdir(home)).toEqual([])
  })

  it.each([
    ['that is not there', 'nowhere', 'NOT_FOUND'],
    ['that is no package', 'empty', 'PLUGIN_INCOMPATIBLE'],
    ['that is no tarball by its name', 'file.zip', 'USAGE'],
    ['that is no tarball by its content', 'file.tgz', 'INTEGRITY'],
  ])('refuses a path %s', async (_, name, code) => {
    await writePackageAt(join(folder, 'empty'), 'empty')
    await rm(join(folder, 'empty/package.json'))
    await writeFile(join(folder, 'file.zip'), 'x')
    await writeFile(join(folder, 'file.tgz'), 'x')
    await expect(addPlugin(join(folder, name), { env })).rejects.toMatchObject({ code })
  })
})

describe.runIf(hasNpm)('adding a plugin of a registry that cannot be reached', () => {
  let server: Server | undefined
  afterEach(() => {
    server?.closeAllConnections()
    server?.close()
    server = undefined
  })

  async function serve(answer: Parameters<typeof createServer>[1]): Promise<string> {
    server = createServer(answer as never)
    const listening = server
    await new Promise<void>((resolve) => {
      listening.listen(0, '127.0.0.1', resolve)
    })
    return `http://127.0.0.1:${(listening.address() as AddressInfo).port}/`
  }

  const unreachable = {
    code: 'UNAVAILABLE',
    message: expect.stringContaining('could not reach its registry'),
    hint: expect.stringContaining('npm config'),
  }

  it('ends where nothing listens', async () => {
    env = { ...env, npm_config_fetch_retries: '0' }
    await expect(addPlugin('@s3lo/backend-s3', { env })).rejects.toMatchObject(unreachable)
    expect(await readdir(home)).toEqual([])
  })

  it('ends where connections are taken and never answered', async () => {
    const registry = await serve(() => {})
    env = { ...env, npm_config_registry: registry }
    env = { ...env, npm_config_fetch_retries: '0', npm_config_fetch_timeout: '200' }
    await expect(addPlugin('@s3lo/backend-s3', { env })).rejects.toMatchObject(unreachable)
  })

  it('ends where an answer stops in the middle', async () => {
    const registry = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"name":')
    })
    env = { ...env, npm_config_registry: registry, npm_config_fetch_retries: '0' }
    await expect(addPlugin('@s3lo/backend-s3', { env, silenceMs: 1500 })).rejects.toMatchObject(
      unreachable,
    )
  })
})
