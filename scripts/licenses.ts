import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The licences of the packages of other people that the modules are from, one after the other. */
export async function licensesOf(modules: readonly string[]): Promise<string> {
  const folders = new Set(
    modules.flatMap((id) => /.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id) ?? []),
  )
  const parts = await Promise.all([...folders].toSorted().map(licenseOf))
  return `This package has parts of the packages below.\n\n${parts.join('\n')}`
}

async function licenseOf(folder: string): Promise<string> {
  const text = await readFile(join(folder, 'package.json'), 'utf8')
  const { name, version, license } = JSON.parse(text) as Record<string, string>
  const file = (await readdir(folder)).find((each) => /^licen[cs]e/i.test(each))
  const terms = file === undefined ? '' : await readFile(join(folder, file), 'utf8')
  return `== ${name} ${version} (${license}) ==\n\n${terms.trim()}\n`
}
