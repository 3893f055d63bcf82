import type { Readable, Writable } from 'node:stream'
import type { Host } from '../host/contract.ts'
import type { HostOptions } from '../host/opener.ts'
import type { OperationOptions } from '../operations/options.ts'
import type { ArgsOf, Parameters } from './parameters.ts'

/** What a command has to say once it is done. */
export interface CommandOutput<T = unknown> {
  /** The document of `-o json` and `-o yaml`. */
  readonly result: T
  /** The same as text for standard output: whole lines, or nothing. */
  render(result: T): string
  /** Lines for people, which go to standard error. */
  readonly status?: string | readonly string[]
  /** Where it is not 0: a verdict such as "no". */
  readonly exitCode?: number
  /** What stopped the work halfway. It decides the exit status, and joins the result in documents. */
  readonly error?: unknown
}

/** What a command works with. */
export interface CommandWork<A = unknown> {
  /** The values of the command's own arguments and options. */
  readonly args: A
  /** Made with the plugins of the installation and the global options of the command line. */
  readonly host: Host
  /** For every operation: carries Ctrl-C, `--timeout` and the progress display. */
  readonly options: OperationOptions
  /** Says a line to people: not with `--quiet`, not beside a document. */
  readonly status: (line: string) => void
  /** Standard output is to be one document: the command writes nothing else to it. */
  readonly isDocument: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  /**
   * Calls back on SIGHUP, which then does not stop the work, until the result is called: where a
   * configuration can be read again.
   */
  readonly onHangUp: (listener: () => void) => () => void
  /**
   * To be called with the bytes of content that passed where no progress event says so: the process then
   * frees in time what carried them.
   */
  readonly passed: (bytes: number) => void
}

/**
 * A command: what it takes, and its work. The global options (`--endpoint`, `-o`, `--timeout`, …) are
 * taken off the command line before it, but for a value of `-o` that is no output format and that
 * the command has an option `-o` for.
 */
export interface CommandDefinition<P extends Parameters = Parameters> {
  readonly parameters: P
  readonly examples: readonly (readonly [label: string, commandLine: string])[]
  /** More for the help: what values there are, as tables. */
  readonly tables?: readonly CommandTable[]
  /** What the progress display says ("Signing"); without it, none is shown. */
  readonly activity?: string
  /** A command that was stopped is said to be resumable by the same command line. */
  readonly isResumable?: boolean
  /**
   * Of a command that runs until it is stopped: what it may take to end then (milliseconds). A signal is
   * its success, not an interruption. Throws `USAGE`.
   */
  stopsWithin?(args: ArgsOf<P>): number
  /** True where the work itself writes to standard output: results then go to standard error. */
  writesStandardOutput?(args: ArgsOf<P>): Promise<boolean>
  /** What the host is made with besides the global options. Throws `USAGE`. */
  hostOptions?(args: ArgsOf<P>): HostOptions
  /**
   * Does the work. The output is printed as `-o` asks; what is thrown is printed as an error and
   * decides the exit status.
   */
  run(work: CommandWork<ArgsOf<P>>): Promise<CommandOutput>
}

/** A table of the help: a word of the command line and what it means. */
export interface CommandTable {
  readonly title: string
  readonly rows: readonly (readonly [word: string, meaning: string])[]
}

/** Declares a command: the default export of what `load` of a command contribution gives. */
export function defineCommand<const P extends Parameters>(
  definition: CommandDefinition<P>,
): CommandDefinition<P> {
  return definition
}
