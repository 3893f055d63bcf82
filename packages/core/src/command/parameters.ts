/** A word of a command line that is known by its place: `<ref>`, `[target]`, `<digest>…`. */
export interface Argument<A extends 'one' | 'optional' | 'some' = 'one' | 'optional' | 'some'> {
  readonly kind: 'argument'
  /** What usage calls it; `bash|zsh` lists its values. */
  readonly name: string
  readonly arity: A
}

/** An option of a command: a flag, or one that takes a value. */
export interface CommandOption<
  K extends 'flag' | 'text' | 'list' = 'flag' | 'text' | 'list',
  R extends boolean = boolean,
> {
  readonly kind: K
  /** `['-u', '--username']`. */
  readonly names: readonly string[]
  /** For help. A word in backquotes is what its value is called. */
  readonly description: string
  /** The command line must have it. */
  readonly isRequired?: R
  /** Help does not show it. */
  readonly isHidden?: boolean
}

/** What a command takes, by the names that its work knows them by; arguments in their order. */
export type Parameters = Readonly<Record<string, Argument | CommandOption>>

/** The values of a command line. */
export type ArgsOf<P extends Parameters> = { readonly [K in keyof P]: ValueOf<P[K]> }

type ValueOf<P> =
  P extends Argument<infer A>
    ? { one: string; optional: string | undefined; some: readonly string[] }[A]
    : P extends CommandOption<infer K, infer R>
      ? {
          flag: boolean
          text: R extends true ? string : string | undefined
          list: readonly string[] | undefined
        }[K]
      : never

/** An argument that must be given. */
export function argument(name: string): Argument<'one'> {
  return { kind: 'argument', name, arity: 'one' }
}

/** An argument that may be left out; others follow none. */
export function optionalArgument(name: string): Argument<'optional'> {
  return { kind: 'argument', name, arity: 'optional' }
}

/** The last argument, given once or more. */
export function someArguments(name: string): Argument<'some'> {
  return { kind: 'argument', name, arity: 'some' }
}

/** An option without a value. `names` are separated by commas: `-q,--quiet`. */
export function flag(names: string, description: string): CommandOption<'flag', false> {
  return { kind: 'flag', names: names.split(','), description }
}

/** An option with a value; the last one counts. */
export function option(names: string, description: string): CommandOption<'text', false> {
  return { kind: 'text', names: names.split(','), description }
}

/** An option with a value that the command line must have. */
export function requiredOption(names: string, description: string): CommandOption<'text', true> {
  return { kind: 'text', names: names.split(','), description, isRequired: true }
}

/** An option with a value that may be repeated. */
export function repeatedOption(names: string, description: string): CommandOption<'list', false> {
  return { kind: 'list', names: names.split(','), description }
}
