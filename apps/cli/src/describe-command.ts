import type { Argument, CommandOption, CommandTable, Parameters } from '@s3lo/core/plugin'
import type { CommandEntry } from './command-table.ts'
import { describeArgument } from './describe-argument.ts'
import { GLOBALS } from './globals.ts'

/** An option as help and completion show it. */
export interface OptionDescription {
  /** `['-o', '--output']`. */
  readonly names: readonly string[]
  /** What its value is called; absent for one that takes none. */
  readonly value?: string
  /** What the value can be, where that is a list: of all there are, or of usual ones. */
  readonly values?: readonly string[]
  readonly description: string
}

/** An argument as help and completion show it. */
export interface ArgumentDescription {
  /** `<ref>`, `[target]`, `<digest>…`. */
  readonly words: string
  /** Empty where s3lo does not know what a plugin means by the name. */
  readonly description: string
  /** What it can be, where that is a list. */
  readonly values?: readonly string[]
}

/** A command as help, completion and the documentation show it. */
export interface CommandDescription {
  readonly paths: readonly (readonly string[])[]
  readonly summary: string
  /** `s3lo push <image> <ref>`. */
  readonly usage: string
  readonly arguments: readonly ArgumentDescription[]
  readonly examples: readonly (readonly [label: string, command: string])[]
  /** Its own options, without the global ones. */
  readonly options: readonly OptionDescription[]
  readonly globals: readonly OptionDescription[]
  /** More of the help, as tables. */
  readonly tables: readonly CommandTable[]
}

/** Loads a command and describes it. */
export async function describeCommand(entry: CommandEntry): Promise<CommandDescription> {
  const { default: definition } = await entry.load()
  const parameters = Object.values(definition.parameters)
  const taken = parameters.filter((parameter) => parameter.kind === 'argument').map(toArgument)
  return {
    paths: entry.paths,
    summary: entry.summary,
    usage: ['s3lo', ...entry.paths[0], ...taken.map(({ words }) => words)].join(' '),
    arguments: taken,
    examples: definition.examples,
    options: [...optionsOf(definition.parameters), HELP_OPTION],
    globals: GLOBAL_OPTIONS,
    tables: definition.tables ?? [],
  }
}

const HELP_OPTION: OptionDescription = { names: ['-h', '--help'], description: 'show this help' }

/** The options that every command has. */
export const GLOBAL_OPTIONS: readonly OptionDescription[] = optionsOf(GLOBALS)

function optionsOf(parameters: Parameters): readonly OptionDescription[] {
  return Object.values(parameters)
    .filter((parameter) => parameter.kind !== 'argument')
    .filter(({ isHidden }) => !isHidden)
    .map(toOption)
}

/** "send … to `URL`" describes an option whose value is called URL. */
function toOption({ kind, names, description }: CommandOption): OptionDescription {
  const shown = { names, description: description.replaceAll('`', '') }
  if (kind === 'flag') return shown
  const value = /`(?<value>[^`]+)`/.exec(description)?.groups?.['value'] ?? 'VALUE'
  const listed = value === 'OS/ARCH' ? USUAL_PLATFORMS : listedIn(description)
  return { ...shown, value, ...(listed && { values: listed }) }
}

function toArgument({ name, arity }: Argument): ArgumentDescription {
  const words = { one: `<${name}>`, optional: `[${name}]`, some: `<${name}>…` }[arity]
  return { words, ...describeArgument(name) }
}

const USUAL_PLATFORMS: readonly string[] = [
  'linux/amd64',
  'linux/arm64',
  'linux/arm/v7',
  'linux/386',
  'linux/ppc64le',
  'linux/riscv64',
  'linux/s390x',
  'windows/amd64',
]

/** The values that a description lists: "print results as `FORMAT`: text, json or yaml (= …)". */
function listedIn(description: string): readonly string[] | undefined {
  const list = /`[^`]+`[^`:]*: (?<list>[^()]*[^() ])(?: \(.*\))?$/.exec(description)?.groups?.[
    'list'
  ]
  const values = list?.split(/, or |, | or /)
  return values?.every((value) => /^[\w-]+$/.test(value)) ? values : undefined
}
