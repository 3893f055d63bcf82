import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseCommand } from '@s3lo/core/command'
import type { Plugin } from '@s3lo/core/plugin'
import { expect, it } from 'vitest'
import { COMMANDS, type CommandEntry } from '../src/command-table.ts'
import { toEntry } from '../src/contributed-command.ts'
import { takeGlobals } from '../src/globals.ts'

const ROOT = join(import.meta.dirname, '../../..')
/** The packages that bring commands. */
const PLUGINS = ['policy', 'scanner-trivy', 'serve', 'signing', 'soci']
/** A command of the plugin that a guide writes; the test of the guide runs it. */
const OF_GUIDES = new Set(['lint'])
/** What pnpm does without a script in `package.json`. */
const OF_PNPM = new Set(['changeset', 'exec', 'install', 'vitest'])

const PAGES = globSync('**/*.md', {
  cwd: ROOT,
  exclude: (name) => name === 'node_modules' || name === 'dist' || name === 'coverage',
})
const ENTRIES = [...COMMANDS, ...(await entriesOfPlugins())]

it.each(PAGES)('the shell examples of %s are command lines that exist', async (page) => {
  const text = readFileSync(join(ROOT, page), 'utf8')
  const examples = examplesOf(text)
  expect(syntaxError(examples.join('\n'))).toBe('')
  const wrong: string[] = []
  for (const words of examples.flatMap(commandsOf)) {
    const problem = words[0] === 's3lo' ? await problemOf(words.slice(1)) : undefined
    if (problem !== undefined) wrong.push(`${words.join(' ')}: ${problem}`)
  }
  expect([...wrong, ...unknownScripts(text)]).toEqual([])
})

it.each([
  ['s3lo nothing', 'no such command'],
  ['s3lo push app:v1 s3://b/app:v1 --nothing', 'unknown-option'],
  ['s3lo push app:v1', 'few-arguments'],
  ['x=$(s3lo list s3://b/ more)', 'extra-argument'],
  ['A=1 s3lo cat "s3://b/app:v1" /x -o yaml | cat > y # z', undefined],
])('%s: %s', async (line, expected) => {
  const command = commandsOf(line).find(([program]) => program === 's3lo')
  expect(await problemOf(command?.slice(1) ?? [])).toBe(expected)
})

async function entriesOfPlugins(): Promise<readonly CommandEntry[]> {
  const loaded = PLUGINS.map(async (name) => {
    const url = pathToFileURL(join(ROOT, 'packages', name, 'src/plugin.ts')).href
    const { default: plugin } = (await import(url)) as { readonly default: Plugin }
    return (plugin.commands ?? []).map(toEntry)
  })
  return (await Promise.all(loaded)).flat()
}

/** The shell blocks of a page; of a session, what is typed. */
function examplesOf(text: string): readonly string[] {
  const blocks = text.matchAll(/^( *)```(sh|bash|console)\n([^]*?)^\1```/gm)
  return [...blocks].map(([, , kind, code = '']) =>
    kind === 'console'
      ? [...code.matchAll(/^\$ (.*)$/gm)].map(([, typed]) => typed).join('\n')
      : code,
  )
}

/** What bash says of a script without running it. */
function syntaxError(script: string): string {
  return spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' }).stderr
}

const TOKEN =
  /(#[^\n]*)|([|;&()\n]+)|(?:[<>]+ *[^\s()|;&]*)|((?:'[^']*'|"[^"]*"|\\.|[^\s'"|;&()<>\\])+)/gs

/** The simple commands of a script as words, without redirections and assignments. */
function commandsOf(script: string): readonly (readonly string[])[] {
  const commands: string[][] = [[]]
  for (const [, comment, end, word] of script.replaceAll('\\\n', ' ').matchAll(TOKEN)) {
    if (comment !== undefined) continue
    if (end !== undefined) commands.push([])
    else if (word !== undefined) commands.at(-1)?.push(word.replaceAll(/['"]/g, ''))
  }
  return commands.map((words) => words.slice(words.findIndex((word) => !/^\w+=/.test(word))))
}

async function problemOf(argv: readonly string[]): Promise<string | undefined> {
  const { own, withoutValue } = takeGlobals(argv)
  if (withoutValue !== undefined) return `${withoutValue} has no value`
  if (own.includes('--help') || own.includes('--version') || OF_GUIDES.has(own[0] ?? '')) return
  const found = ENTRIES.flatMap((entry) => entry.paths.map((path) => ({ entry, path })))
    .filter(({ path }) => path.every((word, i) => word === own[i]))
    .reduce<{ readonly entry: CommandEntry; readonly path: readonly string[] } | undefined>(
      (best, each) => (best && best.path.length >= each.path.length ? best : each),
      undefined,
    )
  if (!found) return 'no such command'
  const { default: definition } = await found.entry.load()
  const parsed = parseCommand(own.slice(found.path.length), definition.parameters)
  return 'problem' in parsed ? parsed.problem.kind : undefined
}

/** Scripts of the repository that a page names and that are not there. */
function unknownScripts(text: string): readonly string[] {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const named = [...text.matchAll(/(?<=^|[`'&] ?)pnpm (?:run )?([a-z][a-z:-]*)/gm)].map(
    ([, name = '']) => name,
  )
  const files = [...text.matchAll(/\bintegration\/[\w-]+\.sh\b/g)].map(([path]) => path)
  return [
    ...named.filter((name) => !(name in scripts) && !OF_PNPM.has(name)),
    ...files.filter((path) => !existsSync(join(ROOT, path))),
  ]
}
