import { readFile } from 'node:fs/promises'
import { delimiter, isAbsolute, join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { asObject, parseJson, S3loError } from '@s3lo/core/plugin'
import { type Environment, userFolder } from './user-folder.ts'

/** Where a package was found. */
export type PluginOrigin = 'built-in' | 'user' | 'path'

/** A plugin's entry module, found but not loaded. */
export interface ResolvedPlugin {
  readonly url: string
  readonly origin: PluginOrigin
  /** Of its package; asked for only where the version is shown. */
  readonly packageJson: () => URL
}

/** The conditions of an `exports` map that hold for an import by Node. */
const CONDITIONS: ReadonlySet<string> = new Set(['node', 'import', 'module-sync', 'default'])

/**
 * Finds `NAME/plugin`: beside the command line itself, in the user's folder, then in each folder of
 * `S3LO_PLUGIN_PATH`. Never from the working directory: a tool that holds credentials must not run
 * code because somebody went into a folder. Throws `PLUGIN_INCOMPATIBLE` for a package without
 * that entry; gives `undefined` when there is no such package.
 */
export async function resolvePlugin(
  name: string,
  env: Environment,
): Promise<ResolvedPlugin | undefined> {
  const builtIn = resolveBuiltIn(name)
  if (builtIn) return builtIn
  const user = await resolveIn(userFolder(env), name, 'user')
  if (user) return user
  for (const folder of pluginPath(env)) {
    const found = await resolveIn(folder, name, 'path')
    if (found) return found
  }
  return undefined
}

/** Node's own resolution, from this module. */
function resolveBuiltIn(name: string): ResolvedPlugin | undefined {
  try {
    const url = import.meta.resolve(`${name}/plugin`)
    const packageJson = () => new URL(import.meta.resolve(`${name}/package.json`))
    return { url, origin: 'built-in', packageJson }
  } catch {
    return undefined // Not there, or not meant for us: the user's own folder may have it.
  }
}

async function resolveIn(
  folder: string,
  name: string,
  origin: PluginOrigin,
): Promise<ResolvedPlugin | undefined> {
  const root = join(folder, 'node_modules', name)
  const packageJson = pathToFileURL(join(root, 'package.json'))
  const description = await readPackage(packageJson, name)
  if (!description) return undefined
  const entry = exportedPath(description['exports'], './plugin')
  if (entry === undefined) {
    throw new S3loError(
      'PLUGIN_INCOMPATIBLE',
      `${name} is no s3lo plugin: it exports no ./plugin`,
      {
        hint: `s3lo plugin remove ${name}`,
      },
    )
  }
  const path = resolve(root, entry)
  if (!path.startsWith(root + sep)) {
    throw new S3loError('PLUGIN_INCOMPATIBLE', `${name} exports ./plugin from outside itself`)
  }
  return { url: pathToFileURL(path).href, origin, packageJson: () => packageJson }
}

type PackageDescription = Readonly<Record<string, unknown>>

async function readPackage(url: URL, name: string): Promise<PackageDescription | undefined> {
  try {
    return asObject(parseJson(await readFile(url), `package.json of ${name}`), name)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return undefined
    throw error
  }
}

/** The version in a package's description; empty where there is none. */
export async function readVersion({ packageJson }: ResolvedPlugin, name: string): Promise<string> {
  const version = (await readPackage(packageJson(), name))?.['version']
  return typeof version === 'string' ? version : ''
}

/** The path that an `exports` map gives to a subpath (Node's conditional exports, without patterns). */
export function exportedPath(exports: unknown, subpath: string): string | undefined {
  if (typeof exports !== 'object' || exports === null || Array.isArray(exports)) return undefined
  return firstMatch((exports as Readonly<Record<string, unknown>>)[subpath])
}

function firstMatch(target: unknown): string | undefined {
  if (typeof target === 'string') return target.startsWith('./') ? target : undefined
  if (Array.isArray(target)) return target.map(firstMatch).find((path) => path !== undefined)
  if (typeof target !== 'object' || target === null) return undefined
  for (const [condition, nested] of Object.entries(target)) {
    if (!CONDITIONS.has(condition)) continue
    const path = firstMatch(nested)
    if (path !== undefined) return path
  }
  return undefined
}

/** The absolute folders of `S3LO_PLUGIN_PATH`; a relative one would depend on the working directory. */
function pluginPath(env: Environment): readonly string[] {
  return (env['S3LO_PLUGIN_PATH'] ?? '').split(delimiter).filter(isAbsolute)
}
