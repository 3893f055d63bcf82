import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Environment } from './source-cli.ts'

/** The code blocks of a page that is named from the root, in one language, as they are printed. */
async function blocksOf(page: string, language: string): Promise<readonly string[]> {
  const text = await readFile(join(import.meta.dirname, '..', page), 'utf8')
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, block = '']) =>
    name === language ? [block] : [],
  )
}

/** The one block that begins so. Throws where there is another number of them. */
export async function blockOf(page: string, language: string, start: string): Promise<string> {
  const found = (await blocksOf(page, language)).filter((block) => block.startsWith(start))
  const [block] = found
  if (block !== undefined && found.length === 1) return block
  throw new Error(`expected one block of ${page} that begins with ${start}, got ${found.length}`)
}

/** A text in which each name of an example is replaced by what it is in the test. */
export function withNames(text: string, names: Readonly<Record<string, string>>): string {
  return Object.entries(names).reduce((all, [name, here]) => all.replaceAll(name, here), text)
}

/** Runs lines of shell, each of which has to succeed, and gives what they print. */
export async function runShell(lines: string, folder: string, env: Environment): Promise<string> {
  const options = { cwd: folder, env: { PATH: process.env['PATH'], HOME: folder, ...env } }
  const { stdout } = await promisify(execFile)('bash', ['-euc', lines], options)
  return stdout
}
