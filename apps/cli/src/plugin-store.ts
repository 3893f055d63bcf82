import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  asObject,
  asStringMap,
  type ErrorCode,
  isS3loError,
  optional,
  parseJson,
  type Plugin,
  S3loError,
} from '@s3lo/core/plugin'
import { BACKEND_PACKAGES, COMMAND_PACKAGES, SOURCE_PACKAGES } from './catalog.ts'
import { npm, type NpmOptions } from './npm.ts'
import { changeFolder } from './plugin-folder.ts'
import { isPackageName, readPluginList, writePluginList } from './plugin-list.ts'
import { createPluginLoader, type PackageLoader } from './plugin-loader.ts'
import { loadPluginModule } from './plugin-module.ts'
import {
  type PluginOrigin,
  resolveBuiltIn,
  type ResolvedPlugin,
  resolveIn,
} from './plugin-resolver.ts'
import { assertPackageFile, type FileSpecifier, parseSpecifier } from './plugin-specifier.ts'
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

export interface AddPluginOptions
  extends PluginStoreOptions, Pick<NpmOptions, 'onFetched' | 'silenceMs'> {
  /** Called with lines for people about what is being done. */
  readonly onStatus?: ((line: string) => void) | undefined
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
 * Installs a package of npm's registry, a folder or a tarball in the user's folder and proves that
 * it is a plugin; otherwise everything is as it was before. Runs no script of the package, and no
 * module of it before its description says that it is a plugin. One that came with this s3lo is
 * left alone. Throws `USAGE` for anything but `name[@version]` or a path.
 */
export async function addPlugin(text: string, options: AddPluginOptions): Promise<InstalledPlugin> {
  const { env, onStatus } = options
  const specifier = parseSpecifier(text)
  if (specifier.kind === 'file') await assertPackageFile(specifier)
  else {
    const builtIn = await resolveBuiltIn(specifier.name)
    if (builtIn) return keepBuiltIn(builtIn, specifier.version)
  }
  const folder = userFolder(env)
  onStatus?.(`Installing ${text} in ${folder}`)
  return changeFolder({ ...options, folder }, async () => {
    await npm('install', [specifier.kind === 'file' ? specifier.path : text], {
      ...options,
      folder,
    })
    const name = specifier.kind === 'file' ? await nameOf(specifier, folder) : specifier.name
    if (specifier.kind === 'file' && (await resolveBuiltIn(name))) throw isBuiltIn(name)
    const resolved = await resolveIn(folder, name, 'user')
    if (!resolved) throw new S3loError('INTERNAL', `npm installed no ${name} in ${folder}`)
    const added = await describePlugin(await loadPluginModule(resolved), resolved)
    await writePluginList(env, [...(await readPluginList(env)), name])
    return added
  })
}

/** The package that npm installed from a path, by what it recorded of it. */
async function nameOf({ path }: FileSpecifier, folder: string): Promise<string> {
  const what = join(folder, 'package.json')
  const description = asObject(parseJson(await readFile(what), what), what)
  const dependencies = optional(description, 'dependencies', what, asStringMap) ?? {}
  const found = Object.entries(dependencies).find(
    ([, from]) => from.startsWith('file:') && resolve(folder, from.slice('file:'.length)) === path,
  )
  if (found && isPackageName(found[0])) return found[0]
  throw new S3loError('PLUGIN_INCOMPATIBLE', `npm found no package with a usable name in ${path}`)
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

/** There is nothing to do, unless another version is wanted: which is not ours to change. */
async function keepBuiltIn(
  resolved: ResolvedPlugin,
  wanted: string | undefined,
): Promise<InstalledPlugin> {
  const builtIn = await describePlugin(await loadPluginModule(resolved), resolved)
  if (wanted === undefined || wanted === builtIn.version) return builtIn
  const { name, version } = builtIn
  throw new S3loError('CONFLICT', `${name} ${version} is installed with s3lo itself`, {
    hint: UPDATE_ITSELF,
  })
}

/** What came with s3lo comes first: a second copy in the user's folder would never be used. */
function isBuiltIn(name: string): S3loError {
  return new S3loError('CONFLICT', `${name} is installed with s3lo itself`, { hint: UPDATE_ITSELF })
}

const UPDATE_ITSELF = 'another version of it comes with another version of @s3lo/cli'

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
    version: await resolved.version(),
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
