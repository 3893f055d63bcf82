import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { VALUE_OPTIONS } from '../src/arguments.ts'
import { type CommandEntry, COMMANDS } from '../src/command-table.ts'
import {
  type CommandDescription,
  describeCommand,
  GLOBAL_OPTIONS,
  type OptionDescription,
} from '../src/describe-command.ts'
import { optionWords } from '../src/help.ts'
import { completionScript, SHELLS } from '../src/render/completion.ts'
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

  it('is reached by the paths that its class declares', async () => {
    const { default: commandClass } = await entry.load()
    expect(commandClass.paths).toEqual(entry.paths)
  })

  it('shows usage, options and two or three examples in its help', async () => {
    const { status, stdout } = await world.run([...name.split(' '), '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain(`Usage: ${description.usage} [options]\n`)
    for (const option of description.options) expect(stdout).toContain(`  ${optionWords(option)} `)
    expect(description.examples.length).toBeGreaterThanOrEqual(2)
    expect(description.examples.length).toBeLessThanOrEqual(3)
    for (const [label, line] of description.examples)
      expect(stdout).toContain(`${label}:\n    ${line}\n`)
  })

  it('has a page that says the same', () => {
    expect(page).toContain(`# s3lo ${name}\n`)
    expect(page).toContain(`\`\`\`\n${description.usage} [options]\n\`\`\`\n`)
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

  it('knows which global options take a value', () => {
    const taking = GLOBAL_OPTIONS.filter(({ value }) => value !== undefined)
    expect([...VALUE_OPTIONS].toSorted()).toEqual(taking.flatMap(({ names }) => names).toSorted())
  })
})

describe('completion', () => {
  const hasBash = spawnSync('bash', ['-c', 'true']).status === 0

  it.each(SHELLS)('for %s knows every command and option', async (shell) => {
    const { status, stdout } = await world.run(['completion', shell])
    expect(status).toBe(0)
    for (const { paths } of COMMANDS) {
      for (const word of paths.flat()) expect(stdout).toContain(word)
    }
    for (const [, entry] of entries) {
      const { options } = await describeCommand(entry)
      for (const name of options.flatMap(({ names }) => names)) {
        expect(stdout).toContain(shell === 'fish' ? name.replace(/^-+/, '') : name)
      }
    }
  })

  it('for another shell is refused with the names of those that are known', async () => {
    const { status, stderr } = await world.run(['completion', 'tcsh'])
    expect(status).toBe(64)
    expect(stderr).toContain('hint: shells are bash, zsh, fish, powershell\n')
  })

  it.runIf(hasBash).each([
    [
      ['s3lo', 'pu'],
      ['push', 'pull'],
    ],
    [
      ['s3lo', 'plugin', ''],
      ['list', 'add', 'remove', '-h', '--help'],
    ],
    [
      ['s3lo', 'push', '--pl'],
      ['--platform', '--plain-http'],
    ],
    [['s3lo', '--quiet', 'copy', '--ref'], ['--referrers']],
    [['s3lo', 'copy', 'a', 'b', '--dest'], ['--dest-endpoint']],
  ])('in bash completes %j', async (words, expected) => {
    const descriptions = await Promise.all(COMMANDS.map(describeCommand))
    const script = completionScript('bash', descriptions, GLOBAL_OPTIONS)
    const line = words.map((word) => `'${word}'`).join(' ')
    const run = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _s3lo; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['-u', '-c', `${script}\n${run}`], {
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(stdout.trimEnd().split('\n').toSorted()).toEqual([...expected].toSorted())
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
