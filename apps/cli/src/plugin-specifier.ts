import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { S3loError } from '@s3lo/core/plugin'
import { isPackageName } from './plugin-list.ts'

/** What `s3lo plugin add` was asked to install. */
export type PluginSpecifier = RegistrySpecifier | FileSpecifier

/** A package of npm's registry. */
interface RegistrySpecifier {
  readonly kind: 'registry'
  readonly name: string
  readonly version?: string
}

/** A package that lies on this machine: a folder, or a tarball as `npm pack` makes it. */
export interface FileSpecifier {
  readonly kind: 'file'
  /** Absolute. */
  readonly path: string
}

/** What npm takes for a tarball; any other path is a folder to it. */
const TARBALL = /\.(?:tgz|tar\.gz|tar)$/i

/**
 * Reads `name[@version]`, or the path of a folder or tarball: one that begins as a path does
 * (`./`, `../`, `/`, `file:`) or ends as a tarball does. What else npm would take for a flag, a URL or a
 * repository throws `USAGE`.
 */
export function parseSpecifier(specifier: string): PluginSpecifier {
  const path = pathOf(specifier)
  if (path !== undefined) return { kind: 'file', path: resolve(path) }
  const at = specifier.indexOf('@', 1)
  const name = at < 0 ? specifier : specifier.slice(0, at)
  const version = at < 0 ? undefined : specifier.slice(at + 1)
  if (isPackageName(name) && (version === undefined || /^[\w.+~^><=*-]+$/.test(version))) {
    return { kind: 'registry', name, ...(version !== undefined && { version }) }
  }
  const isUrl = /^[a-z+]+:|^\w+@/i.test(specifier)
  throw new S3loError('USAGE', `${JSON.stringify(specifier)} is not the name of a package`, {
    hint: isUrl
      ? 'fetch it first, then name the tarball or the folder: s3lo plugin add ./plugin.tgz'
      : 's3lo plugin add @s3lo/backend-s3, or with @version, or a path: ./folder, ./plugin.tgz',
  })
}

function pathOf(specifier: string): string | undefined {
  const bare = specifier.startsWith('file:') ? specifier.slice('file:'.length) : specifier
  if (bare === '' || bare.startsWith('//') || bare.includes('\0')) return undefined
  if (bare !== specifier || /^\.{0,2}\/|^\.{1,2}$|^[a-z]:[/\\]|^\.{0,2}\\/i.test(bare)) return bare
  return TARBALL.test(bare) && /^[^-@:][^@:]*$/.test(bare) ? bare : undefined
}

/** Throws `NOT_FOUND` or `USAGE` unless the path is that of a folder with a package, or of a tarball. */
export async function assertPackageFile({ path }: FileSpecifier): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found) throw new S3loError('NOT_FOUND', `there is no ${path}`)
  if (found.isDirectory()) {
    if (await stat(join(path, 'package.json')).catch(() => undefined)) return
    throw new S3loError('PLUGIN_INCOMPATIBLE', `${path} is no package: it has no package.json`)
  }
  if (found.isFile() && TARBALL.test(path)) return
  throw new S3loError('USAGE', `${path} is neither a folder nor a tarball`, {
    hint: 'npm pack makes a tarball of a package; its name ends in .tgz, .tar.gz or .tar',
  })
}
