import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Plugin } from '@s3lo/core'
import { parseCommand } from '@s3lo/core/command'
import { documentationOf } from '@s3lo/core/plugin'
import { beforeAll, describe, expect, it } from 'vitest'
import { BACKEND_PACKAGES, COMMAND_PACKAGES } from '../src/catalog.ts'
import { type CommandEntry, COMMANDS, findEntry } from '../src/command-table.ts'
import { toEntry } from '../src/contributed-command.ts'
import { describeCommand, GLOBAL_OPTIONS } from '../src/describe-command.ts'
import { takeGlobals } from '../src/globals.ts'

const ROOT = join(import.meta.dirname, '../../..')
const PLUGINS = ['signing', 'policy', 'soci', 'scanner-trivy', 'serve']
const SOURCES = globSync(['packages/*/src/**/*.ts', 'apps/cli/src/**/*.ts'], { cwd: ROOT })

/** What follows the name where the sentence is about s3lo, or about any command. */
const NOT_COMMANDS: ReadonlySet<string> = new Set([
  '<command>',
  'X',
  'turns',
  'needs',
  'keeps',
  'overwrites',
  'was',
  'is',
  'has',
  'itself',
  'knows',
  'looks',
])

/** Where a command line ends and a sentence continues. */
const END = /[,;?)]|: | (?:shows|makes|lists|knows|records|waits|with|to|if|or|and|<|>|\|) ?| #|$/

/** A text literal of the source, with its insertions as one word. */
interface Literal {
  readonly file: string
  readonly text: string
}

const literals: readonly Literal[] = SOURCES.flatMap((file) =>
  literalsOf(readFileSync(join(ROOT, file), 'utf8')).map((text) => ({ file, text })),
)

/** A literal that names a command to type: after `hint`, or behind a colon. */
const named = literals.flatMap(({ file, text }) =>
  [...text.matchAll(/(?:^|[:?,;] |\bor |\bwith |\brun )s3lo (?<rest>[^\n]*)/g)].map(
    ({ groups }) => ({
      file,
      line: commandIn(groups?.['rest'] ?? ''),
      isWhole: isWhole(groups?.['rest'] ?? ''),
    }),
  ),
)

let entries: readonly CommandEntry[]

beforeAll(async () => {
  const plugins = PLUGINS.map(async (name) => {
    const url = pathToFileURL(join(ROOT, `packages/${name}/src/plugin.ts`)).href
    return ((await import(url)) as { default: Plugin }).default
  })
  const contributed = (await Promise.all(plugins)).flatMap(({ commands = [] }) => commands)
  entries = [...COMMANDS, ...contributed.map(toEntry)]
})

describe('the hints of all packages', () => {
  it('are many', () => {
    expect(named.length).toBeGreaterThan(60)
  })

  it('name commands that exist, with options that they have', async () => {
    for (const { file, line } of named) {
      const words = line.filter((word) => !word.startsWith('-'))
      if (line[0] === '--help' || NOT_COMMANDS.has(words[0] ?? '')) continue
      const entry = findEntry(words, entries)
      const isGroup = entries.some(({ paths }) => paths.some(([first]) => first === words[0]))
      expect(entry ?? isGroup, `${file}: s3lo ${line.join(' ')}`).toBeTruthy()
      if (!entry) continue
      const { options, globals } = await describeCommand(entry)
      const names = [...options, ...globals, ...GLOBAL_OPTIONS].flatMap((option) => option.names)
      for (const option of line.filter((word) => /^--?[a-z]/i.test(word))) {
        expect(names, `${file}: s3lo ${line.join(' ')}`).toContain(option.split('=')[0])
      }
    }
  })

  it('are command lines that their commands understand', async () => {
    const whole = named.filter(({ isWhole: is, line }) => is && line[0] !== '--help')
    expect(whole.length).toBeGreaterThan(30)
    for (const { file, line } of whole) {
      const entry = findEntry(line, entries)
      if (!entry || line.length === entry.paths[0].length) continue
      const { default: definition } = await entry.load()
      const { own, withoutValue } = takeGlobals(line)
      const path = entry.paths.find((each) => each.every((word, i) => word === own[i])) ?? []
      const parsed = parseCommand(own.slice(path.length), definition.parameters)
      expect({ withoutValue, parsed }, `${file}: s3lo ${line.join(' ')}`).toEqual({
        withoutValue: undefined,
        parsed: { args: expect.anything() },
      })
    }
  })

  it('name only packages of ours to add', () => {
    const ours = globSync('packages/*/package.json', { cwd: ROOT }).map((file) => {
      return (JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as { name: string }).name
    })
    const known = [
      ...Object.values(BACKEND_PACKAGES),
      ...Object.values(COMMAND_PACKAGES).map(({ package: name }) => name),
    ]
    expect(ours).toEqual(expect.arrayContaining(known))
    for (const { file, line } of named.filter(
      ({ line: [a, b] }) => a === 'plugin' && b === 'add',
    )) {
      const [, , name = ''] = line
      expect(['X', 'X@latest', 'X@X', ...ours, './plugin.tgz', './my-plugin'], file).toContain(
        name.replace(/@\d.*$/, ''),
      )
    }
  })

  it('name no file that is not installed, and pages that are there', () => {
    const pages = literals.flatMap(({ file, text }) =>
      /\b(?:docs|packages|apps)\/[\w/-]+\.md|\b(?:README|ARCHITECTURE)\.md/.test(text)
        ? [`${file}: ${text}`]
        : [],
    )
    expect(pages).toEqual([])
    const linked = SOURCES.flatMap((file) => [
      ...readFileSync(join(ROOT, file), 'utf8').matchAll(/documentationOf\('(?<page>[^']+)'\)/g),
    ]).map(({ groups }) => groups?.['page'] ?? '')
    expect(linked.length).toBeGreaterThan(3)
    for (const page of linked) expect(existsSync(join(ROOT, 'docs', page)), page).toBe(true)
    expect(documentationOf('x.md')).toMatch(/^https:\/\/.*\/docs\/x\.md$/)
  })
})

/** Every text of a source file, without its comments; what is inserted into one becomes `X`. */
function literalsOf(source: string): readonly string[] {
  const code = source.replaceAll(/^\s*(?:\/\*\*?[^]*?\*\/|\/\/.*$)/gm, '')
  const quoted =
    /'(?<single>(?:[^'\\\n]|\\.)*)'|"(?<double>(?:[^"\\\n]|\\.)*)"|`(?<template>(?:[^`\\]|\\.)*)`/g
  return [...code.matchAll(quoted)].map(({ groups = {} }) =>
    (groups['single'] ?? groups['double'] ?? groups['template'] ?? '')
      .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, 'X')
      .replaceAll(String.raw`\'`, "'"),
  )
}

function commandIn(rest: string): readonly string[] {
  const [line = ''] = rest.split(END)
  return (line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll(/['"]/g, ''))
}

/** False where a sentence about the command follows rather than its arguments. */
function isWhole(rest: string): boolean {
  return !/^[^,;?)]* (?:shows|makes|lists|knows|records|waits|with|if)\b/.test(rest)
}
