import { isOption } from '@s3lo/core/command'
import { type ArgsOf, flag, option } from '@s3lo/core/plugin'
import { isFormat } from './render/document.ts'

/**
 * The options of every command. In a description, a word in backquotes is what help calls the value.
 */
export const GLOBALS = {
  endpoint: option('--endpoint', 'send requests for s3:// to `URL`, an S3-compatible service'),
  trustEndpoint: flag(
    '--trust-endpoint',
    'take the service at --endpoint for one that keeps every guarantee, and try nothing out',
  ),
  timeout: option('--timeout', 'give up after `DURATION`, such as 30s or 5m (0: never)'),
  output: option('-o,--output', 'print results as `FORMAT`: text, json, yaml or table (= text)'),
  verbose: flag('--verbose', 'show what caused an error, with stack traces'),
  quiet: flag('--quiet', 'print nothing but results and errors'),
  noProgress: flag('--no-progress', 'do not show the progress of transfers'),
  color: option('--color', 'use colour in errors `WHEN`: auto, always or never'),
  plainHttp: flag('--plain-http', 'talk to registries and engines without TLS'),
  tlsCa: option('--tls-ca', 'trust the certificates in `FILE` for registries and engines'),
}

/** The values of the global options. */
export type Globals = ArgsOf<typeof GLOBALS>

/** A command line in two: the global options, and the words that are left for the command. */
export interface SplitLine {
  readonly globals: Globals
  readonly own: readonly string[]
  /** The global option that lacks its value, where one does. */
  readonly withoutValue?: string
}

const BY_NAME = new Map(
  Object.entries(GLOBALS).flatMap(([key, { names, kind }]) =>
    names.map((name) => [name, { key, kind }] as const),
  ),
)

/**
 * Takes the global options off a command line, up to `--`. A value of `-o` that is no format may
 * be a file name of the command's own, and stays. Values are not judged here.
 */
export function takeGlobals(argv: readonly string[]): SplitLine {
  const globals: Record<string, string | boolean | undefined> = {}
  for (const [key, { kind }] of Object.entries(GLOBALS)) {
    globals[key] = kind === 'flag' ? false : undefined
  }
  const own: string[] = []
  let withoutValue: string | undefined
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '--') {
      own.push(...argv.slice(i))
      break
    }
    const [name, bound] = splitBound(word)
    const global = BY_NAME.get(name)
    const next = bound ?? argv[i + 1]
    const isOwn =
      !global ||
      (global.kind === 'flag' && bound !== undefined) ||
      (name === '-o' && next !== undefined && !isFormat(next))
    if (isOwn) own.push(word)
    else if (global.kind === 'flag') globals[global.key] = true
    else if (next === undefined || (bound === undefined && isOption(next))) withoutValue ??= name
    else {
      globals[global.key] = next
      if (bound === undefined) i++
    }
  }
  const split = { globals: globals as unknown as Globals, own }
  return withoutValue === undefined ? split : { ...split, withoutValue }
}

/** The words of a command line, without its global options, that are no options. */
export function plainWords(own: readonly string[]): readonly string[] {
  const end = own.indexOf('--')
  const words = end < 0 ? own : own.slice(0, end)
  // What is left of `-o` names a file.
  return words.filter((word, i) => !word.startsWith('-') && words[i - 1] !== '-o')
}

/** True for a command line that asks for help rather than for work. */
export function asksForHelp(own: readonly string[]): boolean {
  const end = own.indexOf('--')
  const options = end < 0 ? own : own.slice(0, end)
  return options.includes('--help') || options.includes('-h')
}

function splitBound(word: string): readonly [string, string?] {
  const equals = word.indexOf('=')
  return equals < 0 ? [word] : [word.slice(0, equals), word.slice(equals + 1)]
}
