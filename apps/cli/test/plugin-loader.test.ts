import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writePluginList } from '../src/plugin-list.ts'
import { createPluginLoader } from '../src/plugin-loader.ts'
import { FOO_PLUGIN, HELLO_PLUGIN, writePackage, writePackageAt } from './plugin-packages.ts'

let folder: string
let home: string
let env: Record<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-plugins-'))
  home = join(folder, 'user')
  env = { S3LO_CONFIG_HOME: home }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function find(name: string, kind: 'backend' | 'source' | 'scanner' = 'backend'): Promise<unknown> {
  return createPluginLoader({ env }).find({ kind, name })
}

describe('finding a plugin', () => {
  it.each([
    ['a path', './plugin.js'],
    ['an import condition alone', { import: './plugin.js' }],
    ['a default behind types', { types: './plugin.d.ts', default: './plugin.js' }],
    ['nested conditions', { node: { import: './plugin.js' } }],
  ])('reads an entry that is exported as %s', async (_, entry) => {
    await writePackage(home, 's3lo-backend-foo', FOO_PLUGIN, entry)
    expect(await find('foo')).toMatchObject({ name: 's3lo-backend-foo' })
  })

  it('finds those that came with s3lo without any folder', async () => {
    expect(await find('local')).toMatchObject({ name: '@s3lo/backend-local' })
    expect(await find('oci', 'source')).toMatchObject({ name: '@s3lo/source-docker' })
  })

  it('looks into the folders of S3LO_PLUGIN_PATH', async () => {
    await writePackage(join(folder, 'extra'), 's3lo-backend-foo')
    env['S3LO_PLUGIN_PATH'] = [join(folder, 'nothing'), join(folder, 'extra')].join(delimiter)
    expect(await find('foo')).toMatchObject({ name: 's3lo-backend-foo' })
  })

  it("prefers the user's folder to S3LO_PLUGIN_PATH", async () => {
    await writePackage(home, 's3lo-backend-foo')
    await writePackage(join(folder, 'extra'), 's3lo-backend-foo', "throw new Error('not this')")
    env['S3LO_PLUGIN_PATH'] = join(folder, 'extra')
    expect(await find('foo')).toMatchObject({ name: 's3lo-backend-foo' })
  })

  it.each([
    ['by itself', {}],
    ['by a relative S3LO_PLUGIN_PATH', { S3LO_PLUGIN_PATH: '.' }],
    ['by an empty entry of S3LO_PLUGIN_PATH', { S3LO_PLUGIN_PATH: delimiter }],
    ['by a relative S3LO_CONFIG_HOME', { S3LO_CONFIG_HOME: '.' }],
    ['by a relative XDG_CONFIG_HOME', { S3LO_CONFIG_HOME: '', XDG_CONFIG_HOME: '.' }],
  ])('never looks into the working directory %s', async (_, variables) => {
    await writePackage(folder, 's3lo-backend-foo')
    await writePackage(join(folder, 's3lo'), 's3lo-backend-foo')
    Object.assign(env, { HOME: join(folder, 'no-home') }, variables)
    const before = process.cwd()
    process.chdir(folder)
    try {
      await expect(find('foo')).rejects.toMatchObject({ code: 'PLUGIN_NOT_INSTALLED' })
    } finally {
      process.chdir(before)
    }
  })

  it('asks the plugins that the user added under any name', async () => {
    await writePackage(home, '@acme/stores')
    await writePluginList(env, ['@acme/stores'])
    expect(await find('foo')).toMatchObject({ name: '@acme/stores' })
  })

  it('loads a package once', async () => {
    await writePackage(home, 's3lo-backend-foo')
    const loader = createPluginLoader({ env })
    const need = { kind: 'backend', name: 'foo' } as const
    expect(await loader.find(need)).toBe(await loader.find(need))
  })

  it.each(['../../secret', '..', '.hidden', 'a/b', 'FOO'])(
    'takes %j for no part of a path',
    async (scheme) => {
      await writePackage(folder, 'secret', "throw new Error('loaded')")
      await expect(find(scheme)).rejects.toMatchObject({ code: 'PLUGIN_NOT_INSTALLED' })
    },
  )
})

describe('a plugin that is not there', () => {
  it.each([
    ['backend', 'gs', 's3lo plugin add @s3lo/backend-gcs'],
    ['backend', 's4', 'did you mean s3://?'],
    ['backend', 'minio', 'MinIO and other services that speak S3 are s3:// with --endpoint'],
    ['backend', 'gcs', 'Google Cloud Storage is gs://'],
    ['backend', 'file', 'a directory is local://'],
    [
      'backend',
      'zzz',
      'stores are s3://, gs://, az://, local:// and those of plugins; MinIO is s3:// with --endpoint',
    ],
    ['source', 'oci-archve', 'did you mean oci-archive:?'],
    ['scanner', 'grype', 's3lo knows trivy; s3lo plugin list shows what else is installed'],
  ] as const)('%s %s: the hint says what to type', async (kind, name, hint) => {
    await expect(find(name, kind)).rejects.toMatchObject({ code: 'PLUGIN_NOT_INSTALLED', hint })
  })

  it.each(['zzz', 'swift', 'ftp', 'x', 's3+http', 'http', 'ipfs', 'constructor', '__proto__'])(
    'for %s:// names no package that is not ours',
    async (scheme) => {
      const error = await find(scheme).catch((cause: unknown) => cause as { hint: string })
      expect(error).toMatchObject({ code: 'PLUGIN_NOT_INSTALLED' })
      expect(JSON.stringify(error)).not.toContain('s3lo-backend-')
      expect((error as { hint: string }).hint).not.toContain('plugin add')
    },
  )

  it('is named by its scheme', async () => {
    await expect(find('gs')).rejects.toMatchObject({
      message: 'no backend for gs:// is installed',
    })
  })
})

describe('a plugin that is there but wrong', () => {
  it.each([
    ['throws when it is loaded', "throw new Error('boom')", 'boom'],
    ['misses a module', "import 'nowhere-to-be-found'", 'nowhere-to-be-found'],
    ['is no JavaScript', 'export default {', 'failed to load'],
    ['has no default export', 'export const x = 1', 'default export'],
    ['exports a list', 'export default []', 'default export'],
    ['has no name', 'export default { apiVersion: 1 }', 'name'],
    ['has no apiVersion', "export default { name: 'NAME' }", 'apiVersion'],
    ['was made for another API', "export default { name: 'NAME', apiVersion: 99 }", '99'],
    [
      'was made for another API with another shape',
      "export default { name: 'NAME', apiVersion: 2, backends: new Map() }",
      'plugin API 2',
    ],
    ['offers nonsense', "export default { name: 'N', apiVersion: 1, backends: 3 }", 'backends'],
    [
      'offers no load',
      "export default { name: 'N', apiVersion: 1, sources: { x: { summary: 'x' } } }",
      'sources',
    ],
    ['has no commands', "export default { name: 'N', apiVersion: 1, commands: [1] }", 'commands'],
    [
      'has a command without words',
      "export default { name: 'N', apiVersion: 1, commands: [{ path: [], summary: '', load() {} }] }",
      'commands',
    ],
    ['brings something else', HELLO_PLUGIN, 'brings no backend for foo://'],
  ])('because it %s is named', async (_, code, words) => {
    await writePackage(home, 's3lo-backend-foo', code)
    await expect(find('foo')).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
      message: expect.stringMatching(
        new RegExp(`s3lo-backend-foo.*${words.replaceAll('/', '.')}`, 's'),
      ),
      hint: expect.any(String),
    })
  })

  it('keeps the cause', async () => {
    await writePackage(home, 's3lo-backend-foo', "throw new TypeError('boom')")
    await expect(find('foo')).rejects.toMatchObject({ cause: expect.any(TypeError) })
  })

  it.each([[{}], [null], ['./../../secret.js'], [{ browser: './plugin.js' }]])(
    'because it exports ./plugin as %j is refused',
    async (entry) => {
      await writePackage(home, 's3lo-backend-foo', FOO_PLUGIN, entry)
      await expect(find('foo')).rejects.toMatchObject({ code: 'PLUGIN_INCOMPATIBLE' })
    },
  )

  it.each([[[]], [['s3lo']], [undefined]])(
    'because its keywords are %j is refused before anything of it runs',
    async (keywords) => {
      const ran = join(folder, 'ran')
      const code = `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(ran)}, '')`
      const path = join(home, 'node_modules/s3lo-backend-foo')
      await writePackageAt(path, 's3lo-backend-foo', code, './plugin.js', keywords ?? null)
      await expect(find('foo')).rejects.toMatchObject({
        code: 'PLUGIN_INCOMPATIBLE',
        message: expect.stringContaining('s3lo-plugin'),
      })
      await expect(stat(ran)).rejects.toMatchObject({ code: 'ENOENT' })
    },
  )

  it('because its package.json is broken is refused', async () => {
    const path = join(home, 'node_modules/s3lo-backend-foo')
    await mkdir(path, { recursive: true })
    await writeFile(join(path, 'package.json'), '{')
    await expect(find('foo')).rejects.toMatchObject({ code: 'PLUGIN_INCOMPATIBLE' })
  })

  it('does not hide another that brings what is needed', async () => {
    await writePackage(home, 's3lo-backend-foo', "throw new Error('boom')")
    await writePackage(home, '@acme/stores')
    await writePluginList(env, ['@acme/stores'])
    expect(await find('foo')).toMatchObject({ name: '@acme/stores' })
  })

  it('is named rather than called missing when nothing else brings what is needed', async () => {
    await writePackage(home, '@acme/stores', "throw new Error('boom')")
    await writePluginList(env, ['@acme/stores'])
    await expect(find('foo')).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
      message: expect.stringContaining('@acme/stores'),
    })
  })
})

describe('the commands of plugins', () => {
  it('are found by the words they begin with, beside a plugin that is broken', async () => {
    await writePackage(home, 'broken', "throw new Error('boom')")
    await writePackage(home, 'talker', HELLO_PLUGIN)
    await writePluginList(env, ['broken', 'talker'])
    const loader = createPluginLoader({ env })
    expect((await loader.commands()).map(({ path }) => path)).toContainEqual(['hello'])
    expect(await loader.findCommand(['hello', 'world'])).toMatchObject({ summary: 'say hello' })
  })

  it('that are not found belong to no plugin, unless one is broken', async () => {
    await writePackage(home, 'talker', HELLO_PLUGIN)
    await writePluginList(env, ['talker'])
    expect(await createPluginLoader({ env }).findCommand(['goodbye'])).toBeUndefined()
    await writePackage(home, 'broken', "throw new Error('boom')")
    await writePluginList(env, ['broken', 'talker'])
    await expect(createPluginLoader({ env }).findCommand(['goodbye'])).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
    })
  })

  it('are none where the list of plugins is broken, so that help still works', async () => {
    await mkdir(home, { recursive: true })
    await writeFile(join(home, 'plugins.json'), '{')
    expect(await createPluginLoader({ env }).commands()).toEqual([])
    await expect(createPluginLoader({ env }).findCommand(['x'])).rejects.toMatchObject({
      code: 'INTEGRITY',
      hint: expect.any(String),
    })
  })

  it('that the catalog knows come from their package, which may be broken', async () => {
    expect(await createPluginLoader({ env }).findCommand(['scan', 'x'])).toBeUndefined()
    await writePackage(home, '@s3lo/scanner-trivy', "throw new Error('boom')")
    await expect(createPluginLoader({ env }).findCommand(['scan', 'x'])).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
      message: expect.stringContaining('@s3lo/scanner-trivy'),
    })
  })
})
