import { assertCompatible, type Plugin, S3loError } from '@s3lo/core/plugin'
import type { ResolvedPlugin } from './plugin-resolver.ts'

/**
 * Loads a plugin's entry module and checks it. Throws `PLUGIN_INCOMPATIBLE`, with the cause, when
 * it cannot be loaded, was made for another plugin API, or has not the shape of a plugin.
 */
export async function loadPluginModule(resolved: ResolvedPlugin): Promise<Plugin> {
  const { name } = resolved
  const module = await importModule(resolved)
  const plugin = isMap(module) ? module['default'] : undefined
  if (!isMap(plugin)) throw malformed(name, 'its ./plugin has no default export that is a plugin')
  assertHead(name, plugin)
  // Before the rest is looked at: what another API calls a plugin may have another shape.
  assertCompatible(plugin)
  assertBody(name, plugin)
  return plugin
}

async function importModule(resolved: ResolvedPlugin): Promise<unknown> {
  try {
    return await resolved.load()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `${resolved.name} is installed but failed to load: ${reason}`
    throw new S3loError('PLUGIN_INCOMPATIBLE', message, { cause })
  }
}

function assertHead(name: string, plugin: Fields): asserts plugin is Fields & Plugin {
  const { name: ownName, apiVersion } = plugin
  if (typeof ownName !== 'string' || ownName === '') throw malformed(name, 'its plugin has no name')
  if (!Number.isSafeInteger(apiVersion)) throw malformed(name, 'its plugin has no apiVersion')
}

/** The members of a plugin that are contributions by name. */
const BY_NAME = ['backends', 'sources', 'scanners', 'policyChecks', 'layerReaders', 'signers']

function assertBody(name: string, plugin: Fields): void {
  for (const role of BY_NAME) {
    const offered = plugin[role] ?? {}
    if (!isMap(offered) || !Object.values(offered).every(isContribution)) {
      throw malformed(name, `its ${role} are not contributions by name`)
    }
  }
  const commands = plugin['commands'] ?? []
  if (!Array.isArray(commands) || !commands.every(isCommand)) {
    throw malformed(name, 'its commands are not a list of contributions')
  }
}

function isCommand(value: unknown): boolean {
  if (!isContribution(value)) return false
  const { path, errorStatus = 1 } = value
  const isStatus = Number.isInteger(errorStatus) && Number(errorStatus) > 0
  return isStatus && Array.isArray(path) && path.length > 0 && path.every(isWord)
}

function isContribution(value: unknown): value is Fields {
  return isMap(value) && typeof value['summary'] === 'string' && typeof value['load'] === 'function'
}

function isWord(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z][a-z0-9-]*$/.test(value)
}

type Fields = Readonly<Record<string, unknown>>

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(name: string, what: string): S3loError {
  return new S3loError('PLUGIN_INCOMPATIBLE', `${name} is no s3lo plugin: ${what}`)
}
