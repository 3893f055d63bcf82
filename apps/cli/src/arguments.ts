/** Global options that take a value, so that the word after one is not taken for a command. */
export const VALUE_OPTIONS: ReadonlySet<string> = new Set([
  '--color',
  '--endpoint',
  '--output',
  '--timeout',
  '--tls-ca',
  '-o',
])

/** Global options that take none. */
const FLAG_OPTIONS: ReadonlySet<string> = new Set([
  '--no-progress',
  '--plain-http',
  '--quiet',
  '--trust-endpoint',
  '--verbose',
])

/** A command line in two: the global options, and the words that are left for the command. */
export interface SplitArguments {
  readonly globals: readonly string[]
  readonly own: readonly string[]
}

/**
 * Takes the global options off a command line, up to `--`. A value of `-o` that is no format may
 * be a file name of the command's own, so `isFormat` decides.
 */
export function splitGlobals(
  argv: readonly string[],
  isFormat: (text: string) => boolean,
): SplitArguments {
  const globals: string[] = []
  const own: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '--') return { globals, own: [...own, ...argv.slice(i)] }
    const [name, bound] = splitBound(word)
    if (FLAG_OPTIONS.has(word)) globals.push(word)
    else if (!VALUE_OPTIONS.has(name)) own.push(word)
    else {
      const value = bound ?? argv[i + 1]
      const taken = value === undefined || bound !== undefined ? [word] : [word, value]
      const isOwn = name === '-o' && value !== undefined && !isFormat(value)
      ;(isOwn ? own : globals).push(...taken)
      i += taken.length - 1
    }
  }
  return { globals, own }
}

/** The words of a command line that are neither options nor values of global options. */
export function plainWords(argv: readonly string[]): readonly string[] {
  const words: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '--') break
    if (VALUE_OPTIONS.has(word)) i++
    else if (!word.startsWith('-')) words.push(word)
  }
  return words
}

/** True for a command line that asks for help rather than for work. */
export function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  const options = end < 0 ? argv : argv.slice(0, end)
  return options.includes('--help') || options.includes('-h')
}

/** The value of an option on a command line that could not be parsed; the last one counts. */
export function optionValue(argv: readonly string[], names: readonly string[]): string | undefined {
  let value: string | undefined
  for (const [i, word] of argv.entries()) {
    if (word === '--') break
    const [name, bound] = splitBound(word)
    if (names.includes(name)) value = bound ?? argv[i + 1]
  }
  return value
}

function splitBound(word: string): readonly [string, string?] {
  const equals = word.indexOf('=')
  return equals < 0 ? [word] : [word.slice(0, equals), word.slice(equals + 1)]
}
