/** Keeps words that make a reader stop out of the code and the documents: part of `pnpm check`. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const SELF = 'scripts/check-words.ts'

/** The subject of a sentence is the component: the caller, the store, the collector. */
const WORDS = /\b(?:whoever|somebody|nobody|whatever|stands for|told of|goes on|go on)\b/i

/** Data, and files that programs write. */
const DATA = ['test/fixtures/', 'pnpm-lock.yaml']

const { stdout, status } = spawnSync(
  'git',
  ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
  {
    cwd: ROOT,
    encoding: 'utf8',
  },
)
if (status !== 0) throw new Error('words: git lists no files')

const isChecked = (path: string): boolean =>
  path !== '' && path !== SELF && !DATA.some((prefix) => path.startsWith(prefix))
const found = stdout.split('\0').filter(isChecked).flatMap(findIn)
for (const line of found) process.stderr.write(`${line}\n`)
process.exitCode = found.length === 0 ? 0 : 1

function findIn(path: string): readonly string[] {
  let text: string
  try {
    text = readFileSync(join(ROOT, path), 'utf8')
  } catch {
    return [] // Deleted, and not committed yet.
  }
  return text.split('\n').flatMap((line, i) => {
    const word = WORDS.exec(line)?.[0]
    return word === undefined ? [] : [`${path}:${i + 1}: ${JSON.stringify(word)}: ${line.trim()}`]
  })
}
