import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BACKEND_PACKAGES, SOURCE_PACKAGES } from '../src/catalog.ts'
import { readPluginList, writePluginList } from '../src/plugin-list.ts'
import { createPluginLoader } from '../src/plugin-loader.ts'
import { exportedPath } from '../src/plugin-resolver.ts'
import { listPlugins, parseSpecifier, removePlugin } from '../src/plugin-store.ts'

let folder: string
let env: Record<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-plugins-'))
  env = { S3LO_CONFIG_HOME: join(folder, 'user') }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const GOOD = `export default { name: 'NAME', apiVersion: 1, backends: {
  foo: { summary: 'foo', load: async () => ({}) } } }`

/** Writes a package by hand; `exports` is what its ./plugin is exported as. */
async function writePackage(
  root: string,
  name: string,
  code = GOOD,
  exports: unknown = './plugin.js',
): Promise<void> {
  const path = join(root, 'node_modules', name)
  await mkdir(path, { recursive: true })
  const description = { name, version: '1.2.3', type: 'module', exports: { './plugin': exports } }
  await writeFile(join(path, 'package.json'), JSON.stringify(description))
  await writeFile(join(path, 'plugin.js'), code.replaceAll('NAME', name))
}

function find(name: string): Promise<unknown> {
  return createPluginLoader({ env }).find({ kind: 'backend', name })
}

describe('finding a plugin', () => {
  it.each([
    ['a path', './plugin.js'],
    ['an import condition alone', { import: './plugin.js' }],
    ['a default behind types', { types: './plugin.d.ts', default: './plugin.js' }],
    ['nested conditions', { node: { import: './plugin.js' } }],
  ])('reads an entry that is exported as %s', async (_, exports) => {
    await writePackage(env['S3LO_CONFIG_HOME']!, 's3lo-backend-foo', GOOD, exports)
    expect(await find('foo')).toMatchObject({ name: 's3lo-backend-foo' })
  })

  it('looks into the folders of S3LO_PLUGIN_PATH, of which relative ones do not count', async () => {
    await writePackage(join(folder, 'extra'), 's3lo-backend-foo')
    env['S3LO_PLUGIN_PATH'] = `relative:${join(folder, 'extra')}`
    expect(await find('foo')).toMatchObject({ name: 's3lo-backend-foo' })
  })

  it('never looks into the working directory', async () => {
    await writePackage(folder, 's3lo-backend-foo')
    const before = process.cwd()
    process.chdir(folder)
    try {
      await expect(find('foo')).rejects.toMatchObject({ code: 'PLUGIN_NOT_INSTALLED' })
    } finally {
      process.chdir(before)
    }
  })

  it('asks the plugins that the user added under any name', async () => {
    await writePackage(env['S3LO_CONFIG_HOME']!, '@acme/stores')
    await writePluginList(env, ['@acme/stores'])
    expect(await find('foo')).toMatchObject({ name: '@acme/stores' })
  })

  it('loads a package once', async () => {
    await writePackage(env['S3LO_CONFIG_HOME']!, 's3lo-backend-foo')
    const loader = createPluginLoader({ env })
    const need = { kind: 'backend', name: 'foo' } as const
    expect(await loader.find(need)).toBe(await loader.find(need))
  })

  it.each([
    ['gs', 's3lo plugin add @s3lo/backend-gcs'],
    ['s4', 'did you mean s3://'],
    ['zzz', 's3lo plugin add s3lo-backend-zzz'],
  ])('says how to install %s', async (scheme, hint) => {
    await expect(find(scheme)).rejects.toMatchObject({
      code: 'PLUGIN_NOT_INSTALLED',
      hint: expect.stringContaining(hint),
    })
  })
})

describe('a plugin that is there but wrong', () => {
  it.each([
    ['throws when it is loaded', "throw new Error('boom')", 'boom'],
    ['misses a module', "import 'nowhere-to-be-found'", 'nowhere-to-be-found'],
    ['has no default export', 'export const x = 1', 'default export'],
    ['has no name', 'export default { apiVersion: 1 }', 'name'],
    ['has no apiVersion', "export default { name: 'NAME' }", 'apiVersion'],
    ['was made for another API', "export default { name: 'NAME', apiVersion: 99 }", '99'],
    ['offers nonsense', "export default { name: 'N', apiVersion: 1, backends: 3 }", 'backends'],
    ['offers no load', "export default { name: 'N', apiVersion: 1, commands: [1] }", 'commands'],
  ])('because it %s is named, with the cause', async (_, code, words) => {
    await writePackage(env['S3LO_CONFIG_HOME']!, 's3lo-backend-foo', code)
    await expect(find('foo')).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
      message: expect.stringContaining(words),
    })
  })

  it.each([undefined, './../../secret.js', { browser: './plugin.js' }])(
    'because it exports ./plugin as %j is refused',
    async (exports) => {
      await writePackage(env['S3LO_CONFIG_HOME']!, 's3lo-backend-foo', GOOD, exports ?? null)
      await expect(find('foo')).rejects.toMatchObject({ code: 'PLUGIN_INCOMPATIBLE' })
    },
  )

  it('does not take the commands of the others with it', async () => {
    const home = env['S3LO_CONFIG_HOME']!
    await writePackage(home, 'broken', "throw new Error('boom')")
    const code = `export default { name: 'NAME', apiVersion: 1,
      commands: [{ path: ['hello'], summary: 'say hello', load: async () => ({}) }] }`
    await writePackage(home, 'talker', code)
    await writePluginList(env, ['broken', 'talker'])
    const loader = createPluginLoader({ env })
    expect((await loader.commands()).map(({ path }) => path)).toEqual([['hello']])
    expect(await loader.findCommand(['hello', 'world'])).toMatchObject({ summary: 'say hello' })
    expect(await loader.findCommand(['goodbye'])).toBeUndefined()
  })
})

describe('the list of plugins', () => {
  it('agrees with the catalog for every official plugin that is installed', async () => {
    const catalogs = { schemes: BACKEND_PACKAGES, transports: SOURCE_PACKAGES } as const
    const installed = await listPlugins({ env })
    expect(installed.map(({ name }) => name)).toEqual([
      '@s3lo/backend-local',
      '@s3lo/source-docker',
    ])
    for (const plugin of installed) {
      for (const role of ['schemes', 'transports'] as const) {
        const listed = Object.entries(catalogs[role]).filter(([, name]) => name === plugin.name)
        expect(new Set(plugin[role])).toEqual(new Set(listed.map(([offered]) => offered)))
      }
    }
  })

  it('keeps names sorted and once', async () => {
    await writePluginList(env, ['b', 'a', 'b'])
    expect(await readPluginList(env)).toEqual(['a', 'b'])
  })

  it.each(['nonsense', '[]', '{"plugins":[1]}', '{"plugins":["../evil"]}', '{"plugins":["-g"]}'])(
    'refuses %s',
    async (content) => {
      const path = join(env['S3LO_CONFIG_HOME']!, 'plugins.json')
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, content)
      await expect(readPluginList(env)).rejects.toMatchObject({ code: 'INTEGRITY' })
    },
  )

  it('does not remove what was never added', async () => {
    await expect(removePlugin('@s3lo/backend-local', { env })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe('what can be installed', () => {
  it.each([
    ['s3lo-backend-foo', 's3lo-backend-foo'],
    ['s3lo-backend-foo@1.2.3', 's3lo-backend-foo'],
    ['@acme/s3lo-backend-foo@^1', '@acme/s3lo-backend-foo'],
    ['@s3lo/backend-s3', '@s3lo/backend-s3'],
  ])('is a package: %s', (specifier, name) => {
    expect(parseSpecifier(specifier)).toBe(name)
  })

  it.each([
    '--global',
    '-g',
    './folder',
    '../x',
    '/tmp/x',
    'file:x',
    'git+https://x/y',
    'https://x/y.tgz',
    'user/repo',
    'a b',
    'X',
    '',
    'foo@file:../x',
    'foo@npm:bar',
  ])('is not %j', (specifier) => {
    expect(() => parseSpecifier(specifier)).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })
})

describe('conditional exports', () => {
  it('give the first condition that holds, as Node does', () => {
    const exports = { './plugin': { require: './a.cjs', import: './b.js', default: './c.js' } }
    expect(exportedPath(exports, './plugin')).toBe('./b.js')
    expect(exportedPath({ './plugin': ['../x', './y.js'] }, './plugin')).toBe('./y.js')
    expect(exportedPath('./index.js', './plugin')).toBeUndefined()
  })
})
