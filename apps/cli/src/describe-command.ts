import { Cli, Command, type CommandClass } from 'clipanion'
import { S3loCommand } from './command.ts'
import type { CommandEntry } from './command-table.ts'
import type { S3loContext } from './context.ts'
import { describeArgument } from './describe-argument.ts'

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
}

/** Loads a command and describes it. */
export async function describeCommand(entry: CommandEntry): Promise<CommandDescription> {
  const { default: commandClass } = await entry.load()
  const { usage, options } = definitionOf(commandClass)
  const globalNames = new Set(GLOBAL_OPTIONS.flatMap(({ names }) => names))
  const isGlobal = ({ names }: OptionDescription): boolean =>
    !entry.isForeign && globalNames.has(names[0] ?? '')
  return {
    paths: entry.paths,
    summary: entry.summary,
    usage: usage.replace(/ \.\.\.$/, '…'),
    arguments: argumentsOf(usage),
    examples: commandClass.usage?.examples ?? [],
    options: [...options.filter((option) => !isGlobal(option)), HELP_OPTION],
    globals: entry.isForeign ? GLOBAL_OPTIONS : options.filter(isGlobal),
  }
}

const HELP_OPTION: OptionDescription = { names: ['-h', '--help'], description: 'show this help' }

class BareCommand extends S3loCommand {
  static override readonly usage = Command.Usage({})
  protected override run(): Promise<never> {
    return Promise.reject(new Error('a bare command does nothing'))
  }
}

/** The options that every command has. */
export const GLOBAL_OPTIONS: readonly OptionDescription[] = definitionOf(BareCommand).options

function definitionOf(commandClass: CommandClass<S3loContext>): {
  readonly usage: string
  readonly options: readonly OptionDescription[]
} {
  const cli = Cli.from<S3loContext>([commandClass], { binaryName: 's3lo' })
  const [definition] = cli.definitions()
  const { usage = '', options = [] } = definition ?? {}
  return {
    usage,
    options: options.map(({ definition: text, description = '' }) => toOption(text, description)),
  }
}

/** `--endpoint #0` and "send … to `URL`" are an option whose value is called URL. */
function toOption(definition: string, description: string): OptionDescription {
  const [names = '', ...values] = definition.split(' ')
  const value = /`(?<value>[^`]+)`/.exec(description)?.groups?.['value'] ?? 'VALUE'
  const listed = value === 'OS/ARCH' ? USUAL_PLATFORMS : listedIn(description)
  return {
    names: names.split(','),
    ...(values.length > 0 ? { value, ...(listed && { values: listed }) } : {}),
    description: description.replaceAll('`', ''),
  }
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

/** The arguments in a usage line: what is in angle brackets, or in square ones where it may be left out. */
function argumentsOf(usage: string): readonly ArgumentDescription[] {
  return [
    ...usage.matchAll(/(?:<(?<required>[^>]+)>|\[(?<optional>[^\]]+)\])(?<more> \.\.\.)?/g),
  ].map(({ 0: text, groups = {} }) => {
    const words = text.replace(' ...', '…')
    return { words, ...describeArgument(groups['required'] ?? groups['optional'] ?? '') }
  })
}
