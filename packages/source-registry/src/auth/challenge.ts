/** One way of authenticating that a server offers. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** By name in lower case; of a name that comes twice, the first value. */
  readonly parameters: ReadonlyMap<string, string>
  /** What some schemes have in place of parameters. */
  readonly token68?: string
}

/** More than this of a header is not looked at. */
const MAX_HEADER = 16 * 1024
const MAX_CHALLENGES = 16
const MAX_PARAMETERS = 32

const SEPARATORS = /[\s,]+/y
const SPACES = /[ \t]*/y
const TOKEN = /[\w!#$%&'*+.^`|~-]+/y
const EQUALS = /[ \t]*=[ \t]*/y
/** Followed by the end of its challenge: `a=b` is a parameter. */
const TOKEN68 = /[\w.~+/-]+=*(?=[ \t]*(?:,|$))/y
/** One that is never closed reaches to the end. */
const QUOTED = /"((?:[^"\\]|\\[^])*)\\?(?:"|$)/y
/** More than a token: quotes are often forgotten around URLs. */
const UNQUOTED = /[^\s,"]+/y

/**
 * Reads `WWW-Authenticate` (RFC 9110 section 11.6.1); several headers are joined by commas. It
 * never throws: what cannot be read is left out. Time and memory are bounded for any input.
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const scanner = new Scanner(header.slice(0, MAX_HEADER))
  const challenges: OpenChallenge[] = []
  while (scanner.skipTo(SEPARATORS)) {
    const name = scanner.take(TOKEN)?.toLowerCase()
    if (name === undefined) {
      scanner.skipJunk()
    } else if (scanner.take(EQUALS) !== undefined) {
      addParameter(challenges.at(-1), name, scanner.value())
    } else {
      if (challenges.length === MAX_CHALLENGES) break
      scanner.take(SPACES)
      const token68 = scanner.take(TOKEN68)
      const parameters = new Map<string, string>()
      challenges.push({ scheme: name, parameters, ...(token68 === undefined ? {} : { token68 }) })
    }
  }
  return challenges
}

interface OpenChallenge extends Challenge {
  readonly parameters: Map<string, string>
}

function addParameter(challenge: OpenChallenge | undefined, name: string, value: string): void {
  const { parameters } = challenge ?? {}
  if (!parameters || parameters.has(name) || parameters.size === MAX_PARAMETERS) return
  parameters.set(name, value)
}

/** Goes through a text once, by sticky expressions. */
class Scanner {
  readonly #text: string
  #position = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Skips what matches; false at the end of the text. */
  skipTo(pattern: RegExp): boolean {
    this.take(pattern)
    return this.#position < this.#text.length
  }

  /** What matches here: its first group, or all of it; `undefined` when nothing does. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#position
    const match = pattern.exec(this.#text)
    if (!match) return undefined
    this.#position = pattern.lastIndex
    return match[1] ?? match[0]
  }

  /** The value of a parameter, without its quotes and escapes. */
  value(): string {
    const quoted = this.take(QUOTED)
    return quoted?.replaceAll(/\\([^])/g, '$1') ?? this.take(UNQUOTED) ?? ''
  }

  /** Passes over one thing that has no business here; a comma in quotes separates nothing. */
  skipJunk(): void {
    if (this.take(QUOTED) === undefined) this.#position += 1
  }
}
