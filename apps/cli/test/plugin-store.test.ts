import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { renderPlugin } from '../src/render/plugin.ts'
import { readPluginList, writePluginList } from '../src/plugin-list.ts'
import { addPlugin, listPlugins, removePlugin } from '../src/plugin-store.ts'
import { userFolder } from '../src/user-folder.ts'
import { writePackage } from './plugin-packages.ts'

let folder: string
let env: Record<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-plugins-'))
  env = { S3LO_CONFIG_HOME: folder }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the list of plugins', () => {
  it('has what came with s3lo, with versions, and what was added, sorted', async () => {
    await writePackage(folder, '@acme/stores')
    await writePluginList(env, ['@acme/stores'])
    const plugins = await listPlugins({ env })
    expect(plugins.map(({ name }) => name)).toEqual([
      '@acme/stores',
      '@s3lo/backend-local',
      '@s3lo/policy',
      '@s3lo/signing',
      '@s3lo/source-docker',
      '@s3lo/source-registry',
    ])
    expect(plugins[0]).toEqual({
      name: '@acme/stores',
      version: '1.2.3',
      from: 'user',
      schemes: ['foo'],
      transports: [],
      commands: [],
    })
    expect(plugins[1]).toMatchObject({ from: 'built-in', version: expect.stringMatching(/^\d/) })
  })

  it('has those that cannot be used, with the reason', async () => {
    await writePackage(folder, 'broken', "throw new Error('boom')")
    await writePluginList(env, ['broken', 'gone'])
    const plugins = await listPlugins({ env })
    const [broken, gone] = ['broken', 'gone'].map((name) =>
      plugins.find((plugin) => plugin.name === name),
    )
    expect(broken).toMatchObject({ error: { code: 'PLUGIN_INCOMPATIBLE' } })
    expect(gone).toMatchObject({ error: { code: 'PLUGIN_NOT_INSTALLED' } })
    expect(renderPlugin(broken!)).toBe(
      'broken (user): cannot be used: broken is installed but failed to load: boom\n',
    )
  })

  it('escapes what a package says of itself', async () => {
    const code = `export default { name: 'NAME', apiVersion: 1, backends: {
      'a\\u001b[2J': { summary: 'x', load: async () => ({}) } } }`
    await writePackage(folder, 'rude', code)
    await writePluginList(env, ['rude'])
    const rude = (await listPlugins({ env })).find(({ name }) => name === 'rude')
    expect(renderPlugin(rude!)).not.toContain('\u001B')
  })

  it('keeps names sorted and once, and nothing beside them', async () => {
    await writePluginList(env, ['b', 'a', 'b'])
    expect(await readPluginList(env)).toEqual(['a', 'b'])
    expect(await readdir(folder)).toEqual(['plugins.json'])
  })

  it.each(['nonsense', '[]', '{"plugins":[1]}', '{"plugins":["../evil"]}', '{"plugins":["-g"]}'])(
    'refuses %s',
    async (content) => {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'plugins.json'), content)
      await expect(readPluginList(env)).rejects.toMatchObject({ code: 'INTEGRITY' })
    },
  )
})

describe('adding and removing', () => {
  it('leaves a plugin alone that came with s3lo', async () => {
    expect(await addPlugin('@s3lo/backend-local', { env })).toMatchObject({
      from: 'built-in',
      schemes: ['local'],
    })
    await expect(addPlugin('@s3lo/backend-local@99.0.0', { env })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    expect(await readdir(folder)).toEqual([])
  })

  it('refuses what came with s3lo and is no plugin', async () => {
    await expect(addPlugin('@s3lo/core', { env })).rejects.toMatchObject({
      code: 'PLUGIN_INCOMPATIBLE',
    })
  })

  it('does not remove what was never added', async () => {
    await expect(removePlugin('@s3lo/backend-local', { env })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await readdir(folder)).toEqual([])
  })

  it('stops before npm runs when it was aborted', async () => {
    const reason = new Error('stop')
    const signal = AbortSignal.abort(reason)
    await expect(addPlugin('s3lo-backend-foo', { env, signal })).rejects.toBe(reason)
    expect(await readdir(folder)).toEqual([])
  })
})

describe("the user's folder", () => {
  it.each([
    [{ S3LO_CONFIG_HOME: '/a', XDG_CONFIG_HOME: '/b', HOME: '/c' }, '/a'],
    [{ XDG_CONFIG_HOME: '/b', HOME: '/c' }, '/b/s3lo'],
    [{ XDG_CONFIG_HOME: 'relative', HOME: '/c' }, '/c/.config/s3lo'],
    [{ HOME: '/c' }, '/c/.config/s3lo'],
  ])('of %j is %s', (variables, expected) => {
    expect(userFolder(variables)).toBe(expected)
  })
})
