import { type ErrorCode, EXIT_STATUS, isS3loError } from '@s3lo/core/plugin'
import { paint } from './render/color.ts'
import { escapeLines, escapeText } from '@s3lo/views/text'
import { redact } from './redact.ts'

/** An error as it is shown: secrets are gone from every text. */
export interface Failure {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string
}

/** The document that `-o json` and `-o yaml` print for an error. */
export interface ErrorDocument {
  readonly error: Failure
}

type Env = Readonly<Record<string, string | undefined>>

/** What an error means to the user; anything that is not one of s3lo's own is a bug of ours. */
export function toFailure(error: unknown, env: Env): Failure {
  if (!isS3loError(error)) {
    return {
      code: 'INTERNAL',
      message: redact(messageOf(error), env),
      hint: 'this is a bug in s3lo: please report it with the lines above',
    }
  }
  const { code, message, hint } = error
  return {
    code,
    message: redact(message, env),
    ...(hint === undefined ? {} : { hint: redact(hint, env) }),
  }
}

/** The exit status of an error. */
export function exitStatusOf(error: unknown): number {
  return isS3loError(error)
    ? (EXIT_STATUS[error.code] ?? EXIT_STATUS.INTERNAL)
    : EXIT_STATUS.INTERNAL
}

export interface ErrorTextOptions {
  readonly env: Env
  readonly color?: boolean | undefined
  /** The chain of causes with their stacks as well. */
  readonly verbose?: boolean | undefined
}

/** `error: message` and `hint: …`, each on a line; the stack too when it is our bug or asked for. */
export function formatError(
  error: unknown,
  { env, color = false, verbose = false }: ErrorTextOptions,
): string {
  const { code, message, hint } = toFailure(error, env)
  // Nothing failed: a user stopped it, and the rest of the line says how to resume.
  if (code === 'ABORTED' && !verbose) {
    return `${escapeText(hint === undefined ? message : `${message}; ${hint}`)}\n`
  }
  const lines = [`${paint('error:', 'red', color)} ${escapeText(message)}`]
  if (verbose || code === 'INTERNAL') lines.push(...stacks(error, env))
  if (hint !== undefined) lines.push(`hint: ${escapeText(hint)}`)
  return `${lines.join('\n')}\n`
}

/** Stacks only, never properties: an SDK's error may carry the request with its credentials. */
function stacks(error: unknown, env: Env): readonly string[] {
  const lines: string[] = []
  const seen = new Set<unknown>()
  for (let at = error; at !== undefined && !seen.has(at); at = causeOf(at)) {
    const text = at instanceof Error && at.stack !== undefined ? at.stack : messageOf(at)
    const prefix = seen.size === 0 ? '' : 'caused by: '
    lines.push(
      ...escapeLines(redact(`${prefix}${text}`, env))
        .split('\n')
        .map((line) => `  ${line}`),
    )
    seen.add(at)
  }
  return lines
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
