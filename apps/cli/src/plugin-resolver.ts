import { delimiter, dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { asObject, parseJson, readOptionalFile, S3loError } from '@s3lo/core/plugin'
import { BUNDLED_PLUGINS } from './bundled-plugins.ts'
import { exportedPath } from './package-exports.ts'
import { isPackageName } from './plugin-list.ts'
import { type Environment, userFolder } from './user-folder.ts'

const MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024

/** Where a package was found. */
export type PluginOrigin = 'built-in' | 'user' | 'path'

/** A plugin's entry module, found but not loaded. */
export interface ResolvedPlugin {
  readonly name: string
  readonly origin: PluginOrigin
  /** Where it is, for people. */
  readonly place: string
  /** Loads the entry module. */
  load(): Promise<unknown>
  /** The version of its package; empty where it says none. */
  version(): Promise<string>
}

/**
 * Finds `NAME/plugin`: beside the command line itself, in the user's folder, then in each folder of
 * `S3LO_PLUGIN_PATH`. Never from the working directory: a tool that holds credentials must not run
 * code because a user entered a folder. Throws `PLUGIN_INCOMPATIBLE` for a package without
 * that entry; gives `undefined` when there is no such package.
 */
export async function resolvePlugin(
  name: string,
  env: Environment,
): Promise<ResolvedPlugin | undefined> {
  if (!isPackageName(name)) return undefined
  const places = [
    () => resolveBuiltIn(name),
    () => resolveIn(userFolder(env), name, 'user'),
    ...pluginPath(env).map((folder) => () => resolveIn(folder, name, 'path')),
  ]
  const failures: unknown[] = []
  for (const find of places) {
    try {
      const found = await find()
      if (found) return found
    } catch (error) {
      failures.push(error) // Another place may have one that is a plugin.
    }
  }
  if (failures.length > 0) throw failures[0]
  return undefined
}

/** A plugin that is a part of the command line itself. */
function resolveBundled(name: string): ResolvedPlugin | undefined {
  const bundled = Object.hasOwn(BUNDLED_PLUGINS, name) ? BUNDLED_PLUGINS[name] : undefined
  if (!bundled) return undefined
  const version = async (): Promise<string> => (await bundled.describe()).default.version
  return { name, origin: 'built-in', place: 's3lo itself', load: () => bundled.load(), version }
}

/**
 * A plugin that is a part of the command line, or a package that was installed beside it, as Node
 * looks for it: in each folder from this module's up. Throws as {@link resolvePlugin} does.
 */
export async function resolveBuiltIn(name: string): Promise<ResolvedPlugin | undefined> {
  const bundled = resolveBundled(name)
  if (bundled) return bundled
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const found = await resolveIn(folder, name, 'built-in')
    const parent = dirname(folder)
    if (found || parent === folder) return found
    folder = parent
  }
}

/**
 * A package in a folder's `node_modules`. Node resolves only from where a module is, and nothing
 * of ours is in that folder; so its rules for `exports` are followed here. A plugin is what exports
 * `./plugin` and has `s3lo-plugin` among its keywords; both are read before anything of it runs.
 */
export async function resolveIn(
  folder: string,
  name: string,
  origin: PluginOrigin,
): Promise<ResolvedPlugin | undefined> {
  const root = join(folder, 'node_modules', name)
  const description = await readPackage(join(root, 'package.json'), name)
  if (!description) return undefined
  const entry = exportedPath(description['exports'], './plugin')
  if (entry === undefined) throw noEntry(name)
  if (!isMarked(description)) throw noMark(name)
  const path = resolve(root, entry)
  if (!path.startsWith(root + sep)) {
    throw new S3loError('PLUGIN_INCOMPATIBLE', `${name} exports ./plugin from outside itself`)
  }
  return moduleAt(name, origin, pathToFileURL(path))
}

function moduleAt(name: string, origin: PluginOrigin, url: URL): ResolvedPlugin {
  return {
    name,
    origin,
    place: url.href,
    load: () => import(url.href) as Promise<unknown>,
    version: () => readVersion(name, url),
  }
}

async function readVersion(name: string, url: URL): Promise<string> {
  let folder = new URL('.', url)
  for (;;) {
    const description = await readPackage(new URL('package.json', folder), name)
    // A package may hold more descriptions, which only say of what kind its modules are.
    if (description?.['name'] === name) {
      const version = description['version']
      return typeof version === 'string' ? version : ''
    }
    const parent = new URL('..', folder)
    if (parent.href === folder.href) return ''
    folder = parent
  }
}

async function readPackage(
  path: string | URL,
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const what = `the package.json of ${name}`
  try {
    const content = await readOptionalFile(path, MAX_DESCRIPTION_BYTES)
    return content && asObject(parseJson(content, what), what)
  } catch (cause) {
    const message = `${name} is installed but ${what} cannot be read`
    throw new S3loError('PLUGIN_INCOMPATIBLE', message, { cause })
  }
}

/** What a package says of itself, so that nothing of any other package is ever run. */
const MARK = 's3lo-plugin'

function isMarked({ keywords }: Readonly<Record<string, unknown>>): boolean {
  return Array.isArray(keywords) && keywords.includes(MARK)
}

function noMark(name: string): S3loError {
  const message = `${name} is no s3lo plugin: the keywords in its package.json do not have ${MARK}`
  return new S3loError('PLUGIN_INCOMPATIBLE', message)
}

function noEntry(name: string): S3loError {
  const message = `${name} is no s3lo plugin: it exports no ./plugin`
  return new S3loError('PLUGIN_INCOMPATIBLE', message)
}

/** The absolute folders of `S3LO_PLUGIN_PATH`; a relative one would depend on the working directory. */
function pluginPath(env: Environment): readonly string[] {
  return (env['S3LO_PLUGIN_PATH'] ?? '').split(delimiter).filter(isAbsolute)
}
