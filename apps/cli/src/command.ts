import type {
  CommandOutput as Output,
  Host,
  HostOptions,
  OperationOptions,
  ProgressEvent,
} from '@s3lo/core'
import { isS3loError, S3loError } from '@s3lo/core/plugin'
import { Command, Option } from 'clipanion'
import type { S3loContext } from './context.ts'
import type { Deadline } from './deadline.ts'
import { orAbandon } from './interrupt.ts'
import { isReaderGone } from './print.ts'
import { type Format, parseFormat } from './render/document.ts'
import { quoteWord } from './render/text.ts'
import { Reporter } from './reporter.ts'

export type { CommandOutput as Output } from '@s3lo/core'

/** The exit status of a program whose reader has left, as if SIGPIPE had ended it. */
const READER_GONE = 141

/**
 * The base of every command: the global options, and the one place that opens the host, passes on
 * signals and timeouts, shows progress, prints results and turns errors into exit statuses.
 * In the description of an option, a word in backquotes is what help calls its value.
 */
export abstract class S3loCommand extends Command<S3loContext> {
  endpoint = Option.String('--endpoint', {
    description: 'send requests for s3:// to `URL`, an S3-compatible service',
  })
  trustEndpoint = Option.Boolean('--trust-endpoint', false, {
    description:
      'take the service at --endpoint for one that keeps every guarantee, and try nothing out',
  })
  timeout = Option.String('--timeout', {
    description: 'give up after `DURATION`, such as 30s or 5m (0: never)',
  })
  output = Option.String('-o,--output', {
    description: 'print results as `FORMAT`: text, json, yaml or table (= text)',
  })
  verbose = Option.Boolean('--verbose', false, {
    description: 'show what caused an error, with stack traces',
  })
  quiet = Option.Boolean('--quiet', false, {
    description: 'print nothing but results and errors',
  })
  noProgress = Option.Boolean('--no-progress', false, {
    description: 'do not show how far a transfer is',
  })
  color = Option.String('--color', {
    description: 'use colour in errors `WHEN`: auto, always or never',
  })
  plainHttp = Option.Boolean('--plain-http', false, {
    description: 'talk to registries and engines without TLS',
  })
  tlsCa = Option.String('--tls-ca', {
    description: 'trust the certificates in `FILE` for registries and engines',
  })

  /** What the progress display says is going on; a command that has it can be resumed by running it again. */
  protected readonly activity: string | undefined = undefined

  /** The exit status of errors, in place of that of their code. */
  protected readonly errorStatus: number | undefined = undefined

  /** Does the work of the command. What it throws becomes the exit status. */
  protected abstract run(host: Host, options: OperationOptions): Promise<Output>

  /** What the host is made with; a command with options of its own for it adds them. */
  protected hostOptions(): HostOptions {
    return {
      env: this.context.env,
      endpoint: parseEndpoint('--endpoint', this.endpoint),
      trustEndpoint: this.trustEndpoint,
      plainHttp: this.plainHttp,
      tlsCa: this.tlsCa,
    }
  }

  /** How the result is printed. Throws `USAGE`. */
  protected format(): Format {
    return parseFormat(this.output)
  }

  /** What the progress display says is going on; `undefined` shows none. */
  protected progressTitle(): string | undefined {
    return this.activity
  }

  /** True where the work itself writes to standard output: results then go to standard error. */
  protected async writesStandardOutput(): Promise<boolean> {
    return false
  }

  #reporter: Reporter | undefined

  /** Says a line to people while the command runs: not with `--quiet`, not beside a document. */
  protected status(line: string): void {
    this.#reporter?.status(line)
  }

  override async execute(): Promise<number> {
    const isTaken = await this.writesStandardOutput()
    const reporter = this.#openReporter(isTaken)
    await this.#checkOptions()
    const { interruption } = this.context
    const deadline = await this.#startDeadline()
    const signal = deadline
      ? AbortSignal.any([interruption.signal, deadline.signal])
      : interruption.signal
    try {
      const output = await orAbandon(this.#work(reporter, signal), signal)
      reporter.endProgress()
      const status = await reporter.output(output)
      return interruption.exitStatus ?? status
    } catch (error) {
      reporter.endProgress()
      if (isTaken && isReaderGone(error)) return READER_GONE
      const cause = signal.aborted ? this.#resumable(signal.reason) : error
      const status = await reporter.failure(cause)
      return interruption.exitStatus ?? status
    } finally {
      deadline?.close()
    }
  }

  async #work(reporter: Reporter, signal: AbortSignal): Promise<Output> {
    const host = await this.context.openHost(this.hostOptions())
    const title = this.progressTitle()
    if (title === undefined) return this.run(host, { signal, onProgress: reporter.onProgress })
    await reporter.startProgress(title)
    const { createTransferCollector } = await import('./transfer-memory.ts')
    const collect = createTransferCollector()
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'bytes') collect(event.delta)
      reporter.onProgress(event)
    }
    return this.run(host, { signal, onProgress })
  }

  #openReporter(isTaken: boolean): Reporter {
    const { stderr, env } = this.context
    const stdout = isTaken ? stderr : this.context.stdout
    const format = this.format()
    this.#reporter = new Reporter({
      stdout,
      stderr,
      env,
      format,
      color: this.color,
      quiet: this.quiet,
      verbose: this.verbose,
      noProgress: this.noProgress,
      errorStatus: this.errorStatus,
    })
    return this.#reporter
  }

  /** Refuses wrong values before any work; what checks them is loaded only where they are given. */
  async #checkOptions(): Promise<void> {
    if (this.color === undefined) return
    const { parseColor } = await import('./render/color.ts')
    parseColor(this.color)
  }

  async #startDeadline(): Promise<Deadline | undefined> {
    if (this.timeout === undefined) return undefined
    const { startDeadline } = await import('./deadline.ts')
    return startDeadline(this.timeout)
  }

  /** Adds how to resume to the error of a transfer that was stopped. */
  #resumable(reason: unknown): unknown {
    if (this.activity === undefined || !isS3loError(reason)) return reason
    const again = ['s3lo', ...this.context.argv].map(quoteWord).join(' ')
    return new S3loError(reason.code, reason.message, {
      hint: `run the same command again to resume: ${again}`,
      cause: reason.cause,
    })
  }
}

/** Checks the value of an option that names a service. Throws `USAGE`. */
export function parseEndpoint(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== '') return text
  throw new S3loError('USAGE', `${option} ${JSON.stringify(text)} is no http or https URL`, {
    hint: `for example ${option} http://localhost:9000`,
  })
}
