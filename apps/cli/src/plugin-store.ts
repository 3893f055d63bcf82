import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Plugin, S3loError } from '@s3lo/core/plugin'
import { BACKEND_PACKAGES, COMMAND_PACKAGES, SOURCE_PACKAGES } from './catalog.ts'
import { npm } from './npm.ts'
import { isPackageName, readPluginList, writePluginList } from './plugin-list.ts'
import { createPluginLoader, type LoadedPlugin } from './plugin-loader.ts'
import { type PluginOrigin, readVersion } from './plugin-resolver.ts'
import { type Environment, userFolder } from './user-folder.ts'

/** An installed plugin and what it brings; field names are those of `--output json`. */
export interface InstalledPlugin {
  readonly name: string
  readonly version: string
  readonly from: PluginOrigin
  readonly schemes: readonly string[]
  readonly transports: readonly string[]
  readonly commands: readonly string[]
}

export interface PluginStoreOptions {
  readonly env: Environment
  readonly signal?: AbortSignal | undefined
}

/** The plugins that this installation and this user have, by name. */
export async function listPlugins({
  env,
}: PluginStoreOptions): Promise<readonly InstalledPlugin[]> {
  const loader = createPluginLoader({ env })
  const commands = Object.values(COMMAND_PACKAGES).map(({ package: name }) => name)
  const official = [
    ...Object.values(BACKEND_PACKAGES),
    ...Object.values(SOURCE_PACKAGES),
    ...commands,
  ]
  const names = new Set([...official, ...(await readPluginList(env))])
  const installed: InstalledPlugin[] = []
  for (const name of [...names].toSorted((a, b) => (a < b ? -1 : 1))) {
    const loaded = await loader.load(name)
    if (loaded) installed.push(await describePlugin(name, loaded))
  }
  return installed
}

/**
 * Installs a package in the user's folder and proves that it is a plugin; one that is not is taken
 * out again. Runs no script of the package. Throws `USAGE` for anything but `name[@version]`.
 */
export async function addPlugin(
  specifier: string,
  options: PluginStoreOptions,
): Promise<InstalledPlugin> {
  const { env, signal } = options
  const name = parseSpecifier(specifier)
  const folder = userFolder(env)
  const before = await readPluginList(env)
  await prepareFolder(folder)
  await npm(['install', '--save-exact', specifier], { env, folder, signal })
  try {
    const loaded = await createPluginLoader({ env }).load(name)
    if (!loaded) throw new S3loError('INTERNAL', `${name} was installed but cannot be found`)
    await writePluginList(env, [...before, name])
    return await describePlugin(name, loaded)
  } catch (error) {
    if (!before.includes(name)) await npm(['uninstall', name], { env, folder })
    throw error
  }
}

/** Takes a package out of the user's folder. Throws `NOT_FOUND` when the user did not add it. */
export async function removePlugin(name: string, options: PluginStoreOptions): Promise<void> {
  const { env, signal } = options
  const names = await readPluginList(env)
  if (!names.includes(name)) {
    throw new S3loError('NOT_FOUND', `${JSON.stringify(name)} is no plugin that was added`, {
      hint: 's3lo plugin list',
    })
  }
  await npm(['uninstall', name], { env, folder: userFolder(env), signal })
  await writePluginList(
    env,
    names.filter((other) => other !== name),
  )
}

/** The package name of `name[@version]`; what npm would take for a flag, path or URL is refused. */
export function parseSpecifier(specifier: string): string {
  const at = specifier.indexOf('@', 1)
  const name = at < 0 ? specifier : specifier.slice(0, at)
  const version = at < 0 ? 'latest' : specifier.slice(at + 1)
  if (isPackageName(name) && /^[\w.+~^><=*-]+$/.test(version)) return name
  throw new S3loError('USAGE', `${JSON.stringify(specifier)} is not the name of a package`, {
    hint: 'plugins are npm packages: s3lo plugin add @s3lo/backend-s3, or with @version',
  })
}

async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const content = `${JSON.stringify({ name: 's3lo-plugins', private: true }, null, 2)}\n`
  await writeFile(join(folder, 'package.json'), content, { flag: 'wx' }).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  })
}

async function describePlugin(
  name: string,
  { plugin, resolved }: LoadedPlugin,
): Promise<InstalledPlugin> {
  const { backends, sources, commands }: Plugin = plugin
  return {
    name,
    version: await readVersion(resolved, name),
    from: resolved.origin,
    schemes: Object.keys(backends ?? {}),
    transports: Object.keys(sources ?? {}),
    commands: (commands ?? []).map(({ path }) => path.join(' ')),
  }
}
