import { readFile } from 'node:fs/promises'
import { EXIT_STATUS } from '@s3lo/core/plugin'
import { beforeAll, describe, expect, it } from 'vitest'
import { type CommandEntry, COMMANDS } from '../src/command-table.ts'
import {
  type CommandDescription,
  describeCommand,
  GLOBAL_OPTIONS,
  type OptionDescription,
} from '../src/describe-command.ts'
import { optionWords } from '../src/help.ts'
import { ENVIRONMENT, EXIT_STATUSES, TRANSPORTS } from '../src/help-topics.ts'
import { MemoryWorld } from './run-cli.ts'

const world = new MemoryWorld()
const entries = COMMANDS.map((entry) => [entry.paths[0].join(' '), entry] as const)

describe.each(entries)('s3lo %s', (name, entry) => {
  let description: CommandDescription
  let page: string

  beforeAll(async () => {
    description = await describeCommand(entry)
    page = await readFile(pageOf(entry), 'utf8')
  })

  it('shows usage, options and two or three examples in its help', async () => {
    const { status, stdout } = await world.run([...name.split(' '), '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain(`Usage: ${description.usage} [options]\n`)
    for (const { words, description: text } of description.arguments) {
      expect(text, `${words} is explained`).not.toBe('')
      expect(stdout).toContain(`  ${words} `)
    }
    for (const option of description.options) expect(stdout).toContain(`  ${optionWords(option)} `)
    expect(description.examples.length).toBeGreaterThanOrEqual(2)
    expect(description.examples.length).toBeLessThanOrEqual(3)
    for (const [label, line] of description.examples)
      expect(stdout).toContain(`${label}:\n    ${line}\n`)
  })

  it('explains values in tables, as its page does', async () => {
    const { stdout } = await world.run([...name.split(' '), '--help'])
    for (const { title, rows } of description.tables) {
      expect(stdout).toContain(`\n${title}:\n`)
      const plain = tableRows(page, title).map((row) =>
        row.replaceAll('`', '').replaceAll(/; see \[[^\]]*\]\([^)]*\)/g, ''),
      )
      expect(plain).toEqual(rows.map(([word, meaning]) => `| ${word} | ${meaning} |`))
      for (const [word, meaning] of rows) {
        expect(stdout).toMatch(new RegExp(`^  ${escaped(word)} +${escaped(meaning)}$`, 'm'))
      }
    }
  })

  it('has a page that says the same', () => {
    expect(page).toContain(`# s3lo ${name}\n`)
    expect(page).toContain(`\`\`\`\n${description.usage} [options]\n\`\`\`\n`)
    const argumentRows = tableRows(page, 'Arguments').map((row) =>
      row.replaceAll(String.raw`\|`, '|'),
    )
    expect(argumentRows).toEqual(
      description.arguments.map(
        ({ words, description: text, values }) =>
          `| \`${words}\` | ${text}${values ? ` of ${values.join(', ')}` : ''} |`,
      ),
    )
    expect(tableRows(page, 'Options')).toEqual(description.options.map(toRow))
    expect(page.includes('[options of every command]')).toBe(description.globals.length > 0)
    for (const [label, line] of description.examples)
      expect(page).toContain(`# ${label}\n${line}\n`)
    for (const path of entry.paths.slice(1))
      expect(page).toContain(`Also: \`s3lo ${path.join(' ')}\`.`)
  })
})

describe('the overview', () => {
  it('lists every command and global option, as does its page', async () => {
    const { stdout } = await world.run(['--help'])
    const page = await readFile(docs('README'), 'utf8')
    for (const { paths, summary } of COMMANDS) {
      expect(stdout).toContain(summary)
      const names = paths.map((path) => `\`${path.join(' ')}\``).join(', ')
      expect(page).toContain(`| [${names}](${paths[0].join('-')}.md) | ${summary} |`)
    }
    expect(tableRows(page, 'Options of every command')).toEqual(GLOBAL_OPTIONS.map(toRow))
  })

  it('explains transports, the environment and exit statuses, as its page does', async () => {
    const { stdout } = await world.run(['--help'])
    const page = await readFile(docs('README'), 'utf8')
    for (const { words, summary } of [...TRANSPORTS, ...ENVIRONMENT, ...EXIT_STATUSES]) {
      expect(stdout).toContain(words)
      expect(stdout).toContain(summary)
    }
    for (const { words, summary } of ENVIRONMENT) {
      const names = words.split(', ').map((name) => `\`${name}\``)
      expect(page).toContain(`| ${names.join(', ')} | ${summary} |`)
    }
    for (const { words, summary } of EXIT_STATUSES) {
      expect(page.replaceAll('`', '')).toContain(`| ${words} | ${summary} |`)
    }
    const statuses = new Set(EXIT_STATUSES.flatMap(({ words }) => words.split(', ')))
    for (const status of Object.values(EXIT_STATUS)) expect(statuses).toContain(String(status))
  })

  it('is shown without a command, by --help, -h and help', async () => {
    const texts = await Promise.all(
      [[], ['--help'], ['-h'], ['help']].map(async (argv) => (await world.run(argv)).stdout),
    )
    expect(new Set(texts).size).toBe(1)
    const push = await Promise.all(
      [
        ['push', '--help'],
        ['help', 'push'],
        ['push', 'a', '-h'],
        ['--quiet', 'push', '-h'],
      ].map(async (argv) => (await world.run(argv)).stdout),
    )
    expect(new Set(push).size).toBe(1)
  })

  it('of a group lists its commands', async () => {
    const { status, stdout } = await world.run(['plugin'])
    expect(status).toBe(0)
    expect(stdout).toContain('  plugin add ')
    expect(stdout).not.toContain('push')
  })
})

function docs(name: string): URL {
  return new URL(`../../../docs/commands/${name}.md`, import.meta.url)
}

function pageOf(entry: CommandEntry): URL {
  return docs(entry.paths[0].join('-'))
}

function toRow(option: OptionDescription): string {
  return `| \`${optionWords(option)}\` | ${option.description} |`
}

/** The rows of the table below a heading, without its header. */
function tableRows(page: string, heading: string): readonly string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  return section.split('\n').filter((line) => line.startsWith('| `'))
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}
