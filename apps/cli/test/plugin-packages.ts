import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A plugin that brings `foo://`; `NAME` becomes the package's name. */
export const FOO_PLUGIN = `export default { name: 'NAME', apiVersion: 1, backends: {
  foo: { summary: 'foo', load: async () => ({}) } } }`

/** A plugin that brings the command `s3lo hello`. */
export const HELLO_PLUGIN = `export default { name: 'NAME', apiVersion: 1,
  commands: [{ path: ['hello'], summary: 'say hello', load: async () => ({}) }] }`

/** Writes a package by hand into a folder's `node_modules`; `./plugin` is exported as `entry`. */
export async function writePackage(
  folder: string,
  name: string,
  code = FOO_PLUGIN,
  entry: unknown = './plugin.js',
): Promise<void> {
  const path = join(folder, 'node_modules', name)
  await writePackageAt(path, name, code, entry)
}

/** Writes such a package into a folder of its own. */
export async function writePackageAt(
  path: string,
  name: string,
  code = FOO_PLUGIN,
  entry: unknown = './plugin.js',
  keywords: readonly string[] | null = ['s3lo-plugin'],
): Promise<void> {
  await mkdir(path, { recursive: true })
  const exports = { './plugin': entry }
  const description = { name, version: '1.2.3', type: 'module', keywords, exports }
  await writeFile(join(path, 'package.json'), JSON.stringify(description))
  await writeFile(join(path, 'plugin.js'), code.replaceAll('NAME', name))
}
