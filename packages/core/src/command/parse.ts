import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import type { CommandOption, Parameters } from './parameters.ts'

/** The values of a command line, by the names of the parameters. */
export type ParsedArgs = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

/** Why a command line is not understood. */
export type CommandLineProblem =
  | { readonly kind: 'unknown-option' | 'without-value' | 'with-value'; readonly option: string }
  | { readonly kind: 'extra-argument'; readonly word: string }
  | { readonly kind: 'few-arguments' }
  /** A value of `-o` in a command that has no such option. */
  | { readonly kind: 'format'; readonly value: string }
  | { readonly kind: 'required'; readonly options: readonly string[] }

/** The parsed words of a command, or what is wrong with them. */
export type ParsedCommand = { readonly args: ParsedArgs } | { readonly problem: CommandLineProblem }

/** Reads what follows the words of a command on a command line, without the global options. */
export function parseCommand(words: readonly string[], parameters: Parameters): ParsedCommand {
  const options = Object.entries(parameters).filter(isCommandOption)
  const { tokens } = parseArgs({
    args: [...words],
    options: configOf(options),
    strict: false,
    tokens: true,
  })
  const positionals: string[] = []
  const args: Record<string, string | boolean | readonly string[] | undefined> = {}
  for (const [key, { kind }] of options) args[key] = kind === 'flag' ? false : undefined
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { rawName, value } = token
    const found = options.find(([, { names }]) => names.includes(rawName))
    if (!found && rawName === '-o' && typeof value === 'string') {
      return { problem: { kind: 'format', value } }
    }
    if (!found) return { problem: { kind: 'unknown-option', option: rawName } }
    const [key, { kind }] = found
    if (kind === 'flag') {
      if (value !== undefined) return { problem: { kind: 'with-value', option: rawName } }
      args[key] = true
      continue
    }
    if (value === undefined || (!token.inlineValue && isOption(value))) {
      return { problem: { kind: 'without-value', option: rawName } }
    }
    const before = args[key]
    args[key] = kind === 'list' ? [...(Array.isArray(before) ? before : []), value] : value
  }
  return place(positionals, parameters, args)
}

/** Gives the arguments their words, in order. */
function place(
  words: readonly string[],
  parameters: Parameters,
  options: ParsedArgs,
): ParsedCommand {
  const args: Record<string, ParsedArgs[string]> = { ...options }
  const left = [...words]
  for (const [key, parameter] of Object.entries(parameters)) {
    if (parameter.kind !== 'argument') continue
    const { arity } = parameter
    if (arity !== 'optional' && left.length === 0) return { problem: { kind: 'few-arguments' } }
    args[key] = arity === 'some' ? left.splice(0) : left.shift()
  }
  const [word] = left
  if (word !== undefined) return { problem: { kind: 'extra-argument', word } }
  const missing = Object.entries(parameters)
    .filter(isCommandOption)
    .filter(([key, { isRequired }]) => isRequired && options[key] === undefined)
    .map(([, { names }]) => names.at(-1) ?? '')
  return missing.length > 0 ? { problem: { kind: 'required', options: missing } } : { args }
}

/** True for a word that cannot be the value of an option before it; `-` is standard input. */
export function isOption(word: string): boolean {
  return word.startsWith('-') && word !== '-'
}

function isCommandOption(
  entry: readonly [string, Parameters[string]],
): entry is [string, CommandOption] {
  return entry[1].kind !== 'argument'
}

/** The options as Node's parser takes them. `-o` takes a value in every command. */
function configOf(options: readonly (readonly [string, CommandOption])[]): ParseArgsOptionsConfig {
  const config: ParseArgsOptionsConfig = { o: { type: 'string', short: 'o' } }
  for (const [, { names, kind }] of options) {
    const type = kind === 'flag' ? 'boolean' : 'string'
    for (const name of names) {
      const plain = name.replace(/^-+/, '')
      config[plain] = name.startsWith('--') ? { type } : { type, short: plain }
    }
  }
  return config
}
