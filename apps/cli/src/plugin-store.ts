import { type ErrorCode, isS3loError, type Plugin, S3loError } from '@s3lo/core/plugin'
import { BACKEND_PACKAGES, COMMAND_PACKAGES, SOURCE_PACKAGES } from './catalog.ts'
import { npm } from './npm.ts'
import { changeFolder } from './plugin-folder.ts'
import { isPackageName, readPluginList, writePluginList } from './plugin-list.ts'
import { createPluginLoader, type PackageLoader } from './plugin-loader.ts'
import { loadPluginModule } from './plugin-module.ts'
import {
  type PluginOrigin,
  readVersion,
  resolveBuiltIn,
  type ResolvedPlugin,
  resolveIn,
} from './plugin-resolver.ts'
import { type Environment, userFolder } from './user-folder.ts'

/** An installed plugin and what it brings; field names are those of `--output json`. */
export interface InstalledPlugin {
  readonly name: string
  /** Empty when it is not known. */
  readonly version: string
  readonly from: PluginOrigin
  readonly schemes: readonly string[]
  readonly transports: readonly string[]
  readonly commands: readonly string[]
  /** Why it cannot be used. */
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly hint?: string }
}

export interface PluginStoreOptions {
  readonly env: Environment
  readonly signal?: AbortSignal | undefined
}

/** The plugins that this installation and this user have, by name; those that cannot be used, too. */
export async function listPlugins({
  env,
}: PluginStoreOptions): Promise<readonly InstalledPlugin[]> {
  const loader = createPluginLoader({ env })
  const added = await readPluginList(env)
  const commands = Object.values(COMMAND_PACKAGES).map(({ package: name }) => name)
  const official = [
    ...Object.values(BACKEND_PACKAGES),
    ...Object.values(SOURCE_PACKAGES),
    ...commands,
  ]
  const installed: InstalledPlugin[] = []
  for (const name of [...new Set([...official, ...added])].toSorted()) {
    const found = await inspectPlugin(name, loader, added.includes(name))
    if (found) installed.push(found)
  }
  return installed
}

/**
 * Installs a package in the user's folder and proves that it is a plugin; otherwise everything is
 * as it was before. Runs no script of the package. One that came with this s3lo is left alone.
 * Throws `USAGE` for anything but `name[@version]`.
 */
export async function addPlugin(
  specifier: string,
  options: PluginStoreOptions,
): Promise<InstalledPlugin> {
  const { env, signal } = options
  const { name, version } = parseSpecifier(specifier)
  const builtIn = resolveBuiltIn(name)
  if (builtIn) return keepBuiltIn(builtIn, version)
  const folder = userFolder(env)
  return changeFolder({ env, folder, signal }, async () => {
    await npm('install', [specifier], { env, folder, signal })
    const resolved = await resolveIn(folder, name, 'user')
    if (!resolved) throw new S3loError('INTERNAL', `npm installed no ${name} in ${folder}`)
    const added = await describePlugin(await loadPluginModule(resolved), resolved)
    await writePluginList(env, [...(await readPluginList(env)), name])
    return added
  })
}

/** Takes a package out of the user's folder. Throws `NOT_FOUND` when the user did not add it. */
export async function removePlugin(name: string, options: PluginStoreOptions): Promise<void> {
  const { env, signal } = options
  if (!(await readPluginList(env)).includes(name)) {
    throw new S3loError('NOT_FOUND', `${JSON.stringify(name)} is no plugin that was added`, {
      hint: 's3lo plugin list shows all',
    })
  }
  const folder = userFolder(env)
  await changeFolder({ env, folder, signal }, async () => {
    await npm('uninstall', [name], { env, folder, signal })
    const others = (await readPluginList(env)).filter((other) => other !== name)
    await writePluginList(env, others)
  })
}

/** The package of `name[@version]`; what npm would take for a flag, path or URL is refused. */
export function parseSpecifier(specifier: string): {
  readonly name: string
  readonly version?: string
} {
  const at = specifier.indexOf('@', 1)
  const name = at < 0 ? specifier : specifier.slice(0, at)
  const version = at < 0 ? undefined : specifier.slice(at + 1)
  if (isPackageName(name) && (version === undefined || /^[\w.+~^><=*-]+$/.test(version))) {
    return { name, ...(version !== undefined && { version }) }
  }
  const isPlace = /[/\\:]/.test(specifier) && !specifier.startsWith('@')
  throw new S3loError('USAGE', `${JSON.stringify(specifier)} is not the name of a package`, {
    hint: isPlace
      ? 'to try a package of your own, install it in a folder and name that in S3LO_PLUGIN_PATH'
      : 'plugins are npm packages: s3lo plugin add @s3lo/backend-s3, or with @version',
  })
}

/** There is nothing to do, unless another version is wanted: which is not ours to change. */
async function keepBuiltIn(
  resolved: ResolvedPlugin,
  wanted: string | undefined,
): Promise<InstalledPlugin> {
  const builtIn = await describePlugin(await loadPluginModule(resolved), resolved)
  if (wanted === undefined || wanted === builtIn.version) return builtIn
  const { name, version } = builtIn
  throw new S3loError('CONFLICT', `${name} ${version} is installed with s3lo itself`, {
    hint: `install ${name}@${wanted} where s3lo was installed`,
  })
}

async function inspectPlugin(
  name: string,
  loader: PackageLoader,
  wasAdded: boolean,
): Promise<InstalledPlugin | undefined> {
  try {
    const loaded = await loader.load(name)
    if (loaded) return await describePlugin(loaded.plugin, loaded.resolved)
    return wasAdded ? brokenPlugin(name, gone(name)) : undefined
  } catch (error) {
    if (!isS3loError(error, 'PLUGIN_INCOMPATIBLE')) throw error
    return brokenPlugin(name, error)
  }
}

async function describePlugin(
  { backends, sources, commands }: Plugin,
  resolved: ResolvedPlugin,
): Promise<InstalledPlugin> {
  return {
    name: resolved.name,
    version: await readVersion(resolved),
    from: resolved.origin,
    schemes: Object.keys(backends ?? {}),
    transports: Object.keys(sources ?? {}),
    commands: (commands ?? []).map(({ path }) => path.join(' ')),
  }
}

function brokenPlugin(name: string, { code, message, hint }: S3loError): InstalledPlugin {
  const error = { code, message, ...(hint !== undefined && { hint }) }
  return { name, version: '', from: 'user', schemes: [], transports: [], commands: [], error }
}

function gone(name: string): S3loError {
  return new S3loError('PLUGIN_NOT_INSTALLED', `${name} was added but is not there any more`, {
    hint: `s3lo plugin add ${name}, or s3lo plugin remove ${name}`,
  })
}
