import type { FindPlugin, PluginNeed } from '@s3lo/core'
import {
  type CommandContribution,
  isS3loError,
  type Plugin,
  registryCredentialsFor,
  S3loError,
} from '@s3lo/core/plugin'
import {
  BACKEND_PACKAGES,
  COMMAND_PACKAGES,
  CREDENTIAL_PACKAGES,
  LAYER_READER_PACKAGES,
  POLICY_CHECK_PACKAGES,
  SCANNER_PACKAGES,
  SIGNER_PACKAGES,
  SOURCE_PACKAGES,
} from './catalog.ts'
import type { ResolvedPlugin } from './plugin-resolver.ts'
import { hintForScheme } from './scheme-hint.ts'
import { nearest } from './suggest.ts'
import type { Environment } from './user-folder.ts'

/** A plugin that can be used, and where it came from. */
interface LoadedPlugin {
  readonly plugin: Plugin
  readonly resolved: ResolvedPlugin
}

/** Finds plugins by what is needed of them; each package is loaded once. */
export interface PluginLoader {
  /** For `createHost`. Throws `PLUGIN_NOT_INSTALLED` with the command that installs it. */
  readonly find: FindPlugin
  /** The command that these words select, in an installed plugin. Throws `PLUGIN_INCOMPATIBLE`. */
  findCommand(path: readonly string[]): Promise<CommandContribution | undefined>
  /** Every command of an installed plugin that can be loaded: help must not fail with a plugin. */
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
    const official = packageOfCommand(path)
    const names = official === undefined ? await this.#commandPackages() : [official]
    const { plugins, failures } = await this.#loadAll(names)
    const found = longestMatch(plugins, path)
    // One that cannot be loaded may be the one that brings it.
    if (!found && failures.length > 0) throw failures[0]
    return found
  }

  async commands(): Promise<readonly CommandContribution[]> {
    const names = await this.#commandPackages().catch(ignoreInvalidList)
    const { plugins } = await this.#loadAll(names)
    return plugins.flatMap(({ commands }) => commands ?? [])
  }

  async #find(need: PluginNeed): Promise<Plugin | undefined> {
    if (need.kind === 'registry-credential') return this.#findCredentials(need)
    const expected = packageOf(need) ?? conventionalPackage(need)
    const isOfficial = packageOf(need) !== undefined
    const names = isOfficial ? [] : await this.#userPlugins()
    const candidates = new Set(expected === undefined ? names : [expected, ...names])
    const failures: unknown[] = []
    for (const name of candidates) {
      const { plugins, failures: failed } = await this.#loadAll([name])
      const found = plugins.find((plugin) => offers(plugin, need))
      if (found) return found
      // One that cannot be loaded may be the one that brings it.
      failures.push(...failed)
      if (name === expected && plugins.length > 0) failures.push(offersNot(name, need))
    }
    if (failures.length > 0) throw failures[0]
    throw isOfficial && expected !== undefined ? notInstalled(need, expected) : unknownNeed(need)
  }

  /** Most registries belong to no cloud, so that no plugin knows one is no error. */
  async #findCredentials(need: PluginNeed): Promise<Plugin | undefined> {
    const official = Object.entries(CREDENTIAL_PACKAGES).find(([domain]) =>
      need.name.endsWith(domain),
    )
    const names = official ? [official[1]] : await this.#userPlugins()
    const { plugins } = await this.#loadAll(names)
    return plugins.find((plugin) => offers(plugin, need))
  }

  /** Loads in turn, so that one plugin that fails does not take the others with it. */
  async #loadAll(
    names: Iterable<string>,
  ): Promise<{ readonly plugins: readonly Plugin[]; readonly failures: readonly S3loError[] }> {
    const plugins: Plugin[] = []
    const failures: S3loError[] = []
    for (const name of names) {
      try {
        const loaded = await this.load(name)
        if (loaded) plugins.push(loaded.plugin)
      } catch (error) {
        if (!isS3loError(error, 'PLUGIN_INCOMPATIBLE')) throw error
        failures.push(error)
      }
    }
    return { plugins, failures }
  }

  async #commandPackages(): Promise<ReadonlySet<string>> {
    const official = Object.values(COMMAND_PACKAGES).map(({ package: name }) => name)
    return new Set([...official, ...(await this.#userPlugins())])
  }

  async #userPlugins(): Promise<readonly string[]> {
    const { readPluginList } = await import('./plugin-list.ts')
    return readPluginList(this.#env)
  }
}

function ignoreInvalidList(error: unknown): readonly string[] {
  if (isS3loError(error, 'INTEGRITY')) return []
  throw error
}

async function loadPlugin(name: string, env: Environment): Promise<LoadedPlugin | undefined> {
  const { resolvePlugin } = await import('./plugin-resolver.ts')
  const resolved = await resolvePlugin(name, env)
  if (!resolved) return undefined
  const { loadPluginModule } = await import('./plugin-module.ts')
  try {
    return { plugin: await loadPluginModule(resolved), resolved }
  } catch (error) {
    throw withHint(error, resolved)
  }
}

/** Adds where the plugin that failed can be repaired, unless the error knows better. */
function withHint(error: unknown, { name, origin, place }: ResolvedPlugin): unknown {
  if (!isS3loError(error) || error.hint !== undefined) return error
  const hint =
    origin === 'user' ? `install it again: s3lo plugin add ${name}` : `it was loaded from ${place}`
  return new S3loError(error.code, error.message, { hint, cause: error.cause })
}

/** Where what comes by name is, by kind. */
const PACKAGES = {
  backend: BACKEND_PACKAGES,
  source: SOURCE_PACKAGES,
  scanner: SCANNER_PACKAGES,
  'policy-check': POLICY_CHECK_PACKAGES,
  'layer-reader': LAYER_READER_PACKAGES,
  signer: SIGNER_PACKAGES,
} as const

/** The members of a plugin that those are in. */
const MEMBERS = {
  backend: 'backends',
  source: 'sources',
  scanner: 'scanners',
  'policy-check': 'policyChecks',
  'layer-reader': 'layerReaders',
  signer: 'signers',
} as const

function packageOf({ kind, name }: PluginNeed): string | undefined {
  const packages = kind === 'registry-credential' ? {} : PACKAGES[kind]
  return Object.hasOwn(packages, name) ? packages[name] : undefined
}

/** The package that brings a scheme by its name; not every scheme can be part of one. */
function conventionalPackage({ kind, name }: PluginNeed): string | undefined {
  return kind === 'backend' && /^[a-z0-9.-]+$/.test(name) ? `s3lo-backend-${name}` : undefined
}

function packageOfCommand(words: readonly string[]): string | undefined {
  const known = Object.entries(COMMAND_PACKAGES).find(([path]) =>
    path.split(' ').every((word, i) => words[i] === word),
  )
  return known?.[1].package
}

function longestMatch(
  plugins: readonly Plugin[],
  words: readonly string[],
): CommandContribution | undefined {
  return plugins
    .flatMap(({ commands }) => commands ?? [])
    .filter(({ path }) => path.every((word, i) => words[i] === word))
    .toSorted((a, b) => b.path.length - a.path.length)[0]
}

function offers(plugin: Plugin, { kind, name }: PluginNeed): boolean {
  if (kind === 'registry-credential') {
    return registryCredentialsFor(plugin, name) !== undefined
  }
  const offered = plugin[MEMBERS[kind]]
  return offered !== undefined && Object.hasOwn(offered, name)
}

function offersNot(name: string, need: PluginNeed): S3loError {
  return new S3loError(
    'PLUGIN_INCOMPATIBLE',
    `${name} is installed but brings no ${describe(need)}`,
    { hint: `install another version: s3lo plugin add ${name}@latest` },
  )
}

function notInstalled(need: PluginNeed, name: string): S3loError {
  return new S3loError('PLUGIN_NOT_INSTALLED', `no ${describe(need)} is installed`, {
    hint: `s3lo plugin add ${name}`,
  })
}

function unknownNeed(need: PluginNeed): S3loError {
  return new S3loError('PLUGIN_NOT_INSTALLED', `no ${describe(need)} is installed`, {
    hint: hintForUnknown(need),
  })
}

/** Names only what exists: a made-up name must not be installed. */
function hintForUnknown({ kind, name }: PluginNeed): string {
  if (kind === 'backend') return hintForScheme(name)
  const known = kind === 'registry-credential' ? [] : Object.keys(PACKAGES[kind])
  const meant = nearest(name, known)
  if (meant !== undefined) return `did you mean ${meant}${SUFFIXES[kind]}?`
  const names = known.map((each) => `${each}${SUFFIXES[kind]}`).join(', ')
  return `s3lo knows ${names}; s3lo plugin list shows what else is installed`
}

function describe({ kind, name }: PluginNeed): string {
  if (kind === 'source' && name === 'docker') return 'source for registries'
  const subject = kind === 'backend' || kind === 'source' ? `${kind} for` : kind.replace('-', ' ')
  return `${subject} ${name}${SUFFIXES[kind]}`
}

/** How names are written, by kind. */
const SUFFIXES: Readonly<Record<PluginNeed['kind'], string>> = {
  backend: '://',
  source: ':',
  scanner: '',
  'policy-check': '',
  'layer-reader': '',
  signer: '',
  'registry-credential': '',
}
