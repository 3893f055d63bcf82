import { rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolder } from '@s3lo/core/plugin'
import {
  asArray,
  asObject,
  asString,
  isS3loError,
  optional,
  parseJson,
  readOptionalFile,
  S3loError,
} from '@s3lo/core/plugin'
import { type Environment, pluginListFile } from './user-folder.ts'

const MAX_LIST_BYTES = 1024 * 1024

/** An npm package name, as the registry allows it for new packages. */
const PACKAGE_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/

/** True for the name of an npm package, so that it can be part of a path or an argument. */
export function isPackageName(text: string): boolean {
  return text.length <= 214 && PACKAGE_NAME.test(text) && !text.startsWith('-')
}

/** The plugins that the user added, by package name. Throws `INTEGRITY` for a list that is none. */
export async function readPluginList(env: Environment): Promise<readonly string[]> {
  const path = pluginListFile(env)
  try {
    const content = await readOptionalFile(path, MAX_LIST_BYTES)
    return content === undefined ? [] : parsePluginList(content, path)
  } catch (error) {
    if (!isS3loError(error)) throw error
    throw new S3loError(error.code, error.message, {
      hint: 'correct the file, or remove it and add the plugins again',
      cause: error,
    })
  }
}

/** Replaces the list, whole or not at all. */
export async function writePluginList(env: Environment, names: readonly string[]): Promise<void> {
  const path = pluginListFile(env)
  await makeFolder(dirname(path))
  const temporary = `${path}.${process.pid}`
  const plugins = [...new Set(names)].toSorted((a, b) => (a < b ? -1 : 1))
  await writeFile(temporary, `${JSON.stringify({ plugins }, null, 2)}\n`)
  await rename(temporary, path)
}

function parsePluginList(content: Uint8Array, path: string): readonly string[] {
  const list = asObject(parseJson(content, path), path)
  const names = optional(list, 'plugins', path, asArray) ?? []
  return names.map((name, i) => asPackageName(asString(name, `${path}.plugins[${i}]`), path))
}

function asPackageName(text: string, path: string): string {
  if (isPackageName(text)) return text
  throw new S3loError('INTEGRITY', `${path} names ${JSON.stringify(text)}, which is no package`)
}
