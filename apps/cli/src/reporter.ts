import type { Writable } from 'node:stream'
import type { CommandOutput, ProgressEvent } from '@s3lo/core'
import type { ErrorDocument } from './exit.ts'
import { print } from './print.ts'
import type { ProgressView } from './render/progress-view.ts'
import { type Format, formatDocument } from './render/document.ts'
import { escapeText } from '@s3lo/views/text'

export interface ReporterOptions {
  readonly stdout: Writable
  readonly stderr: Writable
  readonly env: Readonly<Record<string, string | undefined>>
  readonly format: Format
  /** The value of `--color`, once it has been checked. */
  readonly color: string | undefined
  readonly quiet: boolean
  readonly verbose: boolean
  readonly noProgress: boolean
  /** The exit status of errors, in place of that of their code. */
  readonly errorStatus?: number | undefined
}

/** Says what a command does and found: data on standard output, everything else on standard error. */
export class Reporter {
  readonly #options: ReporterOptions
  readonly #notices = new Set<string>()
  #progress: ProgressView | undefined

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  /** A line for people about what happens; not beside a document. */
  status(line: string): void {
    const { format, quiet } = this.#options
    if (format === 'text' && !quiet) this.#line(escapeText(line))
  }

  /** Shows how far `activity` is, from the events that {@link onProgress} gets. */
  async startProgress(activity: string): Promise<void> {
    const { format, quiet, noProgress, stderr, env } = this.#options
    if (format !== 'text' || quiet || noProgress) return
    const { openProgress } = await import('./render/progress.ts')
    this.#progress = openProgress(stderr, activity, env)
  }

  /** To be given to operations. */
  readonly onProgress = (event: ProgressEvent): void => {
    if (event.type !== 'notice') this.#progress?.update(event)
    else if (!this.#options.quiet) this.#notice(event.message)
  }

  /** Takes the progress display away; everything said after it stays. */
  endProgress(): void {
    this.#progress?.close()
    this.#progress = undefined
  }

  /** Prints what a command found and gives its exit status. Throws `IO` when it cannot be written. */
  async output<T>(output: CommandOutput<T>): Promise<number> {
    const { result, status = [], exitCode = 0, error } = output
    const { stdout, format } = this.#options
    if (format === 'text') await print(stdout, output.render(result))
    else if (error === undefined) await print(stdout, await formatDocument(result, format))
    for (const line of typeof status === 'string' ? [status] : status) this.status(line)
    return error === undefined ? exitCode : this.failure(error, result)
  }

  /** Prints an error, as a document with what was done before it where documents are asked for. */
  async failure(error: unknown, done: unknown = {}): Promise<number> {
    // Most commands do not fail: what failing needs is not loaded before.
    const { exitStatusOf, formatError, toFailure } = await import('./exit.ts')
    const { parseColor, useColor } = await import('./render/color.ts')
    const { stderr, format, env, verbose, color, errorStatus } = this.#options
    const failure = toFailure(error, env)
    const isColored = useColor(parseColor(color), env, stderr)
    const text = formatError(error, { env, verbose, color: isColored })
    if (format === 'text' || !(await this.#printDocument({ error: failure }, done))) {
      await tell(stderr, text)
    } else if (verbose || failure.code === 'INTERNAL') await tell(stderr, text)
    // A user who stopped a command expects no answer.
    return failure.code === 'ABORTED' ? exitStatusOf(error) : (errorStatus ?? exitStatusOf(error))
  }

  /** False when standard output takes nothing any more. */
  async #printDocument(document: ErrorDocument, done: unknown): Promise<boolean> {
    const { stdout, format } = this.#options
    const text = await formatDocument(
      { ...document, ...(typeof done === 'object' ? done : {}) },
      format === 'yaml' ? 'yaml' : 'json',
    )
    try {
      return await print(stdout, text)
    } catch {
      return false // The error that is being told matters more; the caller tells it elsewhere.
    }
  }

  /** Two clients of one registry hear the same from it: it is said once. */
  #notice(message: string): void {
    if (this.#notices.has(message)) return
    this.#notices.add(message)
    this.#line(`note: ${escapeText(message)}`)
  }

  #line(line: string): void {
    if (this.#progress) this.#progress.print(line)
    else void tell(this.#options.stderr, `${line}\n`)
  }
}

/** Writes to standard error; a failure of that cannot be reported. */
async function tell(stderr: Writable, text: string): Promise<void> {
  try {
    await print(stderr, text)
  } catch {
    // See above: the exit status still says it.
  }
}
