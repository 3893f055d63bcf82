import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import policy from '@s3lo/policy/plugin'
import signing from '@s3lo/signing/plugin'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../src/command-table.ts'
import { toEntry } from '../src/contributed-command.ts'
import { type CommandDescription, describeCommand } from '../src/describe-command.ts'
import { type Shell, SHELLS } from '../src/render/completion/script.ts'
import { MemoryWorld } from './run-cli.ts'

const world = new MemoryWorld()
const broken = { path: ['broken'], summary: 'x', load: () => Promise.reject(new Error('boom')) }
const contributed = [...signing.commands, ...policy.commands]

let scripts: Readonly<Record<Shell, string>>
let descriptions: readonly CommandDescription[]

let folder: string

afterAll(() => rm(folder, { recursive: true }))
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-completion-'))
  const plugins = { commands: () => Promise.resolve([...contributed, broken]) }
  const printed = SHELLS.map(async (shell) => {
    const { status, stdout } = await world.run(['completion', shell], { plugins })
    expect(status).toBe(0)
    return [shell, stdout] as const
  })
  scripts = Object.fromEntries(await Promise.all(printed)) as Record<Shell, string>
  const entries = [...COMMANDS, ...contributed.map(toEntry)]
  descriptions = await Promise.all(entries.map(describeCommand))
})

/** A line as it is typed so far, and what a shell that can list it offers. */
const OFFERED: readonly (readonly [line: string, expected: readonly string[]])[] = [
  ['s3lo pu', ['push', 'pull']],
  ['s3lo gen', ['generate-key-pair']],
  ['s3lo help ver', ['verify', 'version']],
  ['s3lo plugin a', ['add']],
  ['s3lo config va', ['validate']],
  ['s3lo bucket i', ['init']],
  ['s3lo push --pl', ['--platform', '--plain-http']],
  ['s3lo --quiet copy --ref', ['--referrers']],
  ['s3lo copy a b --dest', ['--dest-endpoint']],
  ['s3lo --endpoint push pull --plat', ['--platform']],
  ['s3lo list -o ', ['text', 'json', 'yaml', 'table']],
  ['s3lo list --output j', ['json']],
  ['s3lo -o y', ['yaml']],
  ['s3lo verify a --output json --sign', ['--signed-after']],
  ['s3lo sign a --color a', ['auto', 'always']],
  ['s3lo sign a --schema ', ['2', '1']],
  ['s3lo copy a b --referrers ', ['all', 'none']],
  ['s3lo pull a --platform linux/arm', ['linux/arm64', 'linux/arm/v7']],
  ['s3lo completion f', ['fish']],
]

/** Fish offers the option with its value where they are one word. */
const IN_FISH: (typeof OFFERED)[number] = ['s3lo list --output=y', ['--output=yaml']]

describe('completion', () => {
  it.each(SHELLS)('for %s knows every command and option, those of plugins too', (shell) => {
    const script = scripts[shell]
    for (const { paths, options } of descriptions) {
      for (const word of paths.flat()) expect(script).toContain(word)
      for (const name of options.flatMap(({ names }) => names)) {
        expect(script).toContain(shell === 'fish' ? name.replace(/^-+/, '') : name)
      }
    }
    expect(script).not.toContain('broken')
  })

  it('for another shell is refused with the names of those that are known', async () => {
    const { status, stderr } = await world.run(['completion', 'tcsh'])
    expect(status).toBe(64)
    expect(stderr).toContain('hint: shells are bash, zsh, fish, powershell\n')
  })

  it
    .runIf(has('bash'))
    .each([
      ...OFFERED,
      ['s3lo list --output = y', ['yaml']],
      ['s3lo list --output =', ['text', 'json', 'yaml', 'table']],
      ['s3lo list --output = json --qui', ['--quiet']],
    ] as const)('in bash completes %s', (line, expected) => {
    const words = line.split(' ').map((word) => `'${word}'`)
    const run = `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _s3lo; printf '%s\\n' "\${COMPREPLY[@]}"`
    expect(offered('bash', ['--norc', '-u', '-c', `${scripts.bash}\n${run}`])).toEqual(
      sorted(expected),
    )
  })

  it.runIf(has('zsh')).each([...OFFERED, ['s3lo list --output=y', ['yaml']]] as const)(
    'in zsh completes %s',
    (line, expected) => {
      const words = line.split(' ')
      const last = words.at(-1) ?? ''
      // In place of the parts of zsh that only work where keys are typed.
      const stubs = `compdef() { :; }
        offer() { for each in "$@"; do case "\${each%%:*}" in "$PREFIX"*) print -r -- "\${each%%:*}" ;; esac; done; }
        _describe() { offer "\${(@P)2}"; }
        compadd() { offer "\${(@P)2}"; }
        _files() { :; }
        compset() { PREFIX="\${PREFIX#*=}"; }`
      const typed = words.map((word) => `'${word}'`).join(' ')
      const run = `words=(${typed}); CURRENT=${words.length}; PREFIX='${last}'; _s3lo`
      const program = `${stubs}\n${scripts.zsh}\n${run}`
      expect(offered('zsh', ['-f', '-c', program])).toEqual(sorted(expected))
    },
  )

  it.runIf(has('fish')).each([...OFFERED, IN_FISH])('in fish completes %s', (line, expected) => {
    const program = `${scripts.fish}\ncomplete -C '${line}' | string split -f 1 \\t`
    const found = offered('fish', ['--no-config', '-c', program])
    // It offers files as well where a value may be one.
    expect(found.filter((word) => expected.includes(word))).toEqual(sorted(expected))
    const beginning = line.split(' ').at(-1) ?? ''
    expect(found.every((word) => word.startsWith(beginning))).toBe(true)
  })

  it('finds an option that takes a value in one command and none in another nowhere', () => {
    const takes = new Map<string, boolean>()
    for (const { names, value } of descriptions.flatMap(({ options }) => options)) {
      for (const name of names) {
        expect(takes.get(name) ?? value !== undefined, name).toBe(value !== undefined)
        takes.set(name, value !== undefined)
      }
    }
  })
})

describe('the values that completion offers', () => {
  it('are what the commands take', async () => {
    for (const value of ['text', 'json', 'yaml', 'table']) {
      expect((await world.run(['list', 'mem://b/', '-o', value])).status).toBe(0)
    }
    for (const value of ['auto', 'always', 'never']) {
      expect((await world.run(['list', 'mem://b/', '--color', value])).status).toBe(0)
    }
  })
})

function has(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).status === 0
}

/** What a shell prints, sorted; nothing on standard error. */
function offered(shell: string, args: readonly string[]): readonly string[] {
  const { stdout, stderr } = spawnSync(shell, args, { encoding: 'utf8', cwd: folder })
  expect(stderr).toBe('')
  return sorted(stdout.split('\n').filter((line) => line !== ''))
}

function sorted(words: readonly string[]): readonly string[] {
  return words.toSorted()
}
