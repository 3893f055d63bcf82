import type { CommandDefinition, CommandOutput, CommandWork } from '@s3lo/core/plugin'
import { isS3loError, S3loError } from '@s3lo/core/plugin'
import type { HostOptions, OperationOptions } from '@s3lo/core'
import type { ParsedArgs } from '@s3lo/core/command'
import type { S3loContext } from './context.ts'
import type { Deadline } from './deadline.ts'
import type { Globals } from './globals.ts'
import { orAbandon } from './interrupt.ts'
import { parseEndpoint } from './parse-endpoint.ts'
import { isReaderGone } from './print.ts'
import { parseFormat } from './render/document.ts'
import { quoteWord } from '@s3lo/views/text'
import { Reporter } from './reporter.ts'

/** The exit status of a program whose reader has left, as if SIGPIPE had ended it. */
const READER_GONE = 141

/** A command with what its command line says. */
export interface Invocation {
  readonly definition: CommandDefinition
  readonly globals: Globals
  readonly args: ParsedArgs
  /** The exit status of errors, in place of that of their code. */
  readonly errorStatus?: number | undefined
}

/**
 * Runs a command: the one place that opens the host, passes on signals and timeouts, shows progress,
 * prints results and turns errors into exit statuses.
 */
export async function execute(invocation: Invocation, context: S3loContext): Promise<number> {
  const { definition, globals, args } = invocation
  const isTaken = (await definition.writesStandardOutput?.(args)) ?? false
  const reporter = openReporter(invocation, context, isTaken)
  await checkOptions(globals)
  const { interruption } = context
  const deadline = await startDeadline(globals)
  const signal = deadline
    ? AbortSignal.any([interruption.signal, deadline.signal])
    : interruption.signal
  try {
    const grace = definition.stopsWithin?.(args)
    const output = await orAbandon(work(invocation, context, reporter, signal), signal, grace)
    reporter.endProgress()
    const status = await reporter.output(output)
    return grace === undefined ? (interruption.exitStatus ?? status) : status
  } catch (error) {
    reporter.endProgress()
    if (isTaken && isReaderGone(error)) return READER_GONE
    const cause = signal.aborted ? resumable(definition, context, signal.reason) : error
    const status = await reporter.failure(cause)
    return interruption.exitStatus ?? status
  } finally {
    deadline?.close()
  }
}

async function work(
  { definition, globals, args }: Invocation,
  context: S3loContext,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<CommandOutput> {
  const host = await context.openHost({
    ...hostOptions(globals, context),
    ...definition.hostOptions?.(args),
  })
  const { env, stdout, stderr, plugins } = context
  const passed = collectWhatPassed()
  const given = (onProgress: OperationOptions['onProgress']): OwnWork => ({
    args,
    host,
    options: { signal, onProgress },
    status: (line) => reporter.status(line),
    isDocument: parseFormat(globals.output) !== 'text',
    env,
    // Made when it is read: most commands never do, and making it costs time.
    get stdin() {
      return context.stdin
    },
    stdout,
    stderr,
    onHangUp: (listener) => context.interruption.onHangUp(listener),
    passed,
    plugins,
  })
  const { activity } = definition
  if (activity === undefined) return definition.run(given(reporter.onProgress))
  await reporter.startProgress(activity)
  return definition.run(
    given((event) => {
      if (event.type === 'bytes') passed(event.delta)
      reporter.onProgress(event)
    }),
  )
}

/** Keeps the memory of transfers small. What does so is loaded with the first bytes: most commands move none. */
function collectWhatPassed(): (bytes: number) => void {
  let collect = (_bytes: number): void => {
    collect = () => {}
    void load()
  }
  const load = async (): Promise<void> => {
    const { createTransferCollector } = await import('./transfer-memory.ts')
    collect = createTransferCollector()
  }
  return (bytes) => collect(bytes)
}

/** Commands of our own are given the loader of plugins as well. */
type OwnWork = CommandWork<ParsedArgs> & Pick<S3loContext, 'plugins'>

function hostOptions(globals: Globals, { env }: S3loContext): HostOptions {
  const { endpoint, trustEndpoint, plainHttp, tlsCa } = globals
  return {
    env,
    endpoint: parseEndpoint('--endpoint', endpoint),
    trustEndpoint,
    plainHttp,
    tlsCa,
  }
}

function openReporter(
  { globals, errorStatus }: Invocation,
  { stdout, stderr, env }: S3loContext,
  isTaken: boolean,
): Reporter {
  const { color, quiet, verbose, noProgress } = globals
  return new Reporter({
    stdout: isTaken ? stderr : stdout,
    stderr,
    env,
    format: parseFormat(globals.output),
    color,
    quiet,
    verbose,
    noProgress,
    errorStatus,
  })
}

/** Refuses wrong values before any work; what checks them is loaded only where they are given. */
async function checkOptions({ color }: Globals): Promise<void> {
  if (color === undefined) return
  const { parseColor } = await import('./render/color.ts')
  parseColor(color)
}

async function startDeadline({ timeout }: Globals): Promise<Deadline | undefined> {
  if (timeout === undefined) return undefined
  const deadline = await import('./deadline.ts')
  return deadline.startDeadline(timeout)
}

/** Adds how to continue to the error of a transfer that was stopped. */
function resumable(
  { isResumable = false }: CommandDefinition,
  { argv }: S3loContext,
  reason: unknown,
): unknown {
  if (!isResumable || !isS3loError(reason)) return reason
  const again = ['s3lo', ...argv].map(quoteWord).join(' ')
  return new S3loError(reason.code, reason.message, {
    hint: `run the same command again to resume: ${again}`,
    cause: reason.cause,
  })
}
