import type { FindPlugin, PluginNeed } from '@s3lo/core'
import {
  assertCompatible,
  type CommandContribution,
  isS3loError,
  type Plugin,
  S3loError,
} from '@s3lo/core/plugin'
import { BACKEND_PACKAGES, COMMAND_PACKAGES, SOURCE_PACKAGES } from './catalog.ts'
import { nearest } from './suggest.ts'
import type { ResolvedPlugin } from './plugin-resolver.ts'
import type { Environment } from './user-folder.ts'

/** A plugin that can be used, and where it came from. */
export interface LoadedPlugin {
  readonly plugin: Plugin
  readonly resolved: ResolvedPlugin
}

/** Finds plugins by what is needed of them; each package is loaded once. */
export interface PluginLoader {
  /** For `createHost`. Throws `PLUGIN_NOT_INSTALLED` with the command that installs it. */
  readonly find: FindPlugin
  /** The command that these words select, in an installed plugin. */
  findCommand(path: readonly string[]): Promise<CommandContribution | undefined>
  /** Every command of an installed plugin. */
  commands(): Promise<readonly CommandContribution[]>
}

/** A {@link PluginLoader} that can be asked for packages, too. */
export interface PackageLoader extends PluginLoader {
  /** A package's plugin, or `undefined` when it is not installed. Throws `PLUGIN_INCOMPATIBLE`. */
  load(name: string): Promise<LoadedPlugin | undefined>
}

/** Loads plugins from this installation, the user's folder and `S3LO_PLUGIN_PATH`. */
export function createPluginLoader({ env }: { readonly env: Environment }): PackageLoader {
  return new NamedPluginLoader(env)
}

class NamedPluginLoader implements PackageLoader {
  readonly find: FindPlugin = (need) => this.#find(need)
  readonly #env: Environment
  readonly #loaded = new Map<string, Promise<LoadedPlugin | undefined>>()

  constructor(env: Environment) {
    this.#env = env
  }

  load(name: string): Promise<LoadedPlugin | undefined> {
    const known = this.#loaded.get(name)
    if (known) return known
    const loading = loadPlugin(name, this.#env)
    this.#loaded.set(name, loading)
    return loading
  }

  async findCommand(path: readonly string[]): Promise<CommandContribution | undefined> {
    const matching = (await this.commands()).filter((command) =>
      command.path.every((word, i) => path[i] === word),
    )
    return matching.toSorted((a, b) => b.path.length - a.path.length)[0]
  }

  async commands(): Promise<readonly CommandContribution[]> {
    const official = Object.values(COMMAND_PACKAGES).map(({ package: name }) => name)
    const names = new Set([...official, ...(await this.#userPlugins())])
    const plugins = await Promise.all([...names].map((name) => this.#loadQuietly(name)))
    return plugins.flatMap((loaded) => loaded?.plugin.commands ?? [])
  }

  async #find(need: PluginNeed): Promise<Plugin | undefined> {
    const official = packageOf(need)
    if (official !== undefined) {
      const loaded = await this.load(official)
      if (loaded) return loaded.plugin
      throw notInstalled(need, official)
    }
    const conventional = need.kind === 'backend' ? [`s3lo-backend-${need.name}`] : []
    for (const name of [...conventional, ...(await this.#userPlugins())]) {
      const loaded = await this.load(name)
      if (loaded && offers(loaded.plugin, need)) return loaded.plugin
    }
    throw unknownNeed(need)
  }

  /** For listings: a plugin that fails to load must not take every command with it. */
  async #loadQuietly(name: string): Promise<LoadedPlugin | undefined> {
    try {
      return await this.load(name)
    } catch (error) {
      if (isS3loError(error, 'PLUGIN_INCOMPATIBLE')) return undefined
      throw error
    }
  }

  async #userPlugins(): Promise<readonly string[]> {
    const { readPluginList } = await import('./plugin-list.ts')
    return readPluginList(this.#env)
  }
}

function packageOf({ kind, name }: PluginNeed): string | undefined {
  const packages = kind === 'backend' ? BACKEND_PACKAGES : SOURCE_PACKAGES
  return Object.hasOwn(packages, name) ? packages[name] : undefined
}

function offers(plugin: Plugin, { kind, name }: PluginNeed): boolean {
  const offered = kind === 'backend' ? plugin.backends : plugin.sources
  return offered !== undefined && Object.hasOwn(offered, name)
}

async function loadPlugin(name: string, env: Environment): Promise<LoadedPlugin | undefined> {
  const { resolvePlugin } = await import('./plugin-resolver.ts')
  const resolved = await resolvePlugin(name, env)
  if (!resolved) return undefined
  const plugin = asPlugin(name, await importModule(name, resolved.url))
  assertCompatible(plugin)
  return { plugin, resolved }
}

async function importModule(name: string, url: string): Promise<unknown> {
  try {
    return await import(url)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new S3loError(
      'PLUGIN_INCOMPATIBLE',
      `${name} is installed but failed to load: ${reason}`,
      { hint: `install it again: s3lo plugin add ${name}`, cause },
    )
  }
}

/** Checks the shape of a plugin, which anybody may have written. */
function asPlugin(name: string, module: unknown): Plugin {
  const plugin = isRecord(module) ? module['default'] : undefined
  if (!isRecord(plugin)) throw malformed(name, 'its ./plugin has no default export')
  if (typeof plugin['name'] !== 'string') throw malformed(name, 'its plugin has no name')
  if (!Number.isInteger(plugin['apiVersion'])) throw malformed(name, 'it has no apiVersion')
  for (const role of ['backends', 'sources']) {
    const offered = plugin[role]
    if (offered === undefined) continue
    if (!isRecord(offered) || !Object.values(offered).every(isContribution)) {
      throw malformed(name, `its ${role} are not contributions`)
    }
  }
  const commands = plugin['commands'] ?? []
  if (!Array.isArray(commands) || !commands.every(isCommand)) {
    throw malformed(name, 'its commands are not contributions')
  }
  return plugin as unknown as Plugin
}

function isContribution(value: unknown): boolean {
  return isRecord(value) && typeof value['load'] === 'function'
}

function isCommand(value: unknown): boolean {
  return isContribution(value) && isRecord(value) && Array.isArray(value['path'])
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function malformed(name: string, what: string): S3loError {
  return new S3loError('PLUGIN_INCOMPATIBLE', `${name} is no s3lo plugin: ${what}`, {
    hint: `s3lo plugin remove ${name}`,
  })
}

function notInstalled(need: PluginNeed, name: string): S3loError {
  return new S3loError('PLUGIN_NOT_INSTALLED', `no ${describe(need)} is installed`, {
    hint: `s3lo plugin add ${name}`,
  })
}

function unknownNeed(need: PluginNeed): S3loError {
  const meant =
    need.kind === 'backend' ? nearest(need.name, Object.keys(BACKEND_PACKAGES)) : undefined
  const install =
    need.kind === 'backend' ? `s3lo plugin add s3lo-backend-${need.name}` : 's3lo plugin list'
  return new S3loError('PLUGIN_NOT_INSTALLED', `no ${describe(need)} is installed`, {
    hint: meant === undefined ? install : `did you mean ${meant}://? If not: ${install}`,
  })
}

function describe({ kind, name }: PluginNeed): string {
  if (kind === 'backend') return `backend for ${name}://`
  return name === 'docker' ? 'source for registries' : `source for ${name}:`
}
