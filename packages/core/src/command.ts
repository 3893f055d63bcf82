import type { Readable, Writable } from 'node:stream'
import type { Host } from './host.ts'
import type { OperationOptions } from './operations/options.ts'

export { replaceFile, takesStream } from './command/replace-file.ts'

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
export interface CommandWork {
  /** Made with the plugins of the installation and the global options of the command line. */
  readonly host: Host
  /** For every operation: carries Ctrl-C, `--timeout` and the progress display. */
  readonly options: OperationOptions
  /** Says a line to people: not with `--quiet`, not beside a document. */
  readonly status: (line: string) => void
  /** True where standard output is to be one document, so that nothing else may be written to it. */
  readonly isDocument?: boolean | undefined
}

/**
 * The context of a command that a plugin brings, a clipanion class `extends Command<CommandContext>`
 * with its own options only: the global ones (`--endpoint`, `-o`, `--timeout`, …) are taken off the
 * command line before it. A value of `-o` that is no format is left to the command.
 */
export interface CommandContext {
  readonly env: Record<string, string | undefined>
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  readonly colorDepth: number
  /**
   * Does the work of the command and gives the exit status, for `execute` to return: prints the
   * output as `-o` asks, and what is thrown as an error. With `activity` ("signing"), progress is
   * shown and a command that was stopped is said to be resumable.
   */
  runCommand(
    work: (work: CommandWork) => Promise<CommandOutput>,
    options?: { readonly activity?: string | undefined },
  ): Promise<number>
}
