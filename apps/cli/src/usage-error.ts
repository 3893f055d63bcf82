import { S3loError } from '@s3lo/core/plugin'
import type { CommandEntry } from './command-table.ts'
import { type CommandDescription, describeCommand } from './describe-command.ts'
import { nearest } from './suggest.ts'

/** The `USAGE` error for a command line that its command does not understand; `error` is clipanion's. */
export async function toUsageError(error: unknown, entry: CommandEntry): Promise<S3loError> {
  const description = await describeCommand(entry)
  return new S3loError('USAGE', describe(reasonOf(error), description), {
    hint: hint(reasonOf(error), description),
    cause: error,
  })
}

/** True for an error that clipanion throws because of the command line. */
export function isUsageError(error: unknown): error is Error {
  return error instanceof Error && 'clipanion' in error
}

/** Clipanion's reason, such as `Unsupported option name ("--frce").` */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const candidates: unknown = 'candidates' in error ? error.candidates : undefined
  const [first]: unknown[] = Array.isArray(candidates) ? candidates : []
  const reason =
    typeof first === 'object' && first !== null && 'reason' in first ? first.reason : undefined
  return typeof reason === 'string' ? reason : error.message
}

function describe(reason: string, { paths, usage }: CommandDescription): string {
  const command = `s3lo ${(paths[0] ?? []).join(' ')}`
  const quoted = quotedIn(reason)
  if (/^(Unsupported|Invalid) option name/.test(reason)) return `${command} has no option ${quoted}`
  if (reason.startsWith('Extraneous'))
    return `${command} was given one argument too many: ${quoted}`
  if (reason.startsWith('Not enough positional')) return `${command} needs more arguments: ${usage}`
  const [, option] = /^Not enough arguments to option (\S+?)\.$/.exec(reason) ?? []
  if (option !== undefined) return `${option} needs a value`
  const required = requiredIn(reason)
  if (required.length > 0) return `${command} needs ${required.join(' and ')}`
  return `${command} does not understand this: ${reason}`
}

/**
 * Without an option that must be given, clipanion finds no command at all and lists what there is:
 * `$ s3lo sign <--key #0> [--schema #0] <ref>`.
 */
function requiredIn(reason: string): readonly string[] {
  if (!reason.startsWith('Command not found')) return []
  return [...reason.matchAll(/<([^>]*)>/g)]
    .map(([, option = '']) => option.split(/[ ,]/)[0] ?? '')
    .filter((option) => option.startsWith('--'))
}

function hint(reason: string, { paths, options, globals }: CommandDescription): string {
  const help = `s3lo ${(paths[0] ?? []).join(' ')} --help`
  if (!reason.startsWith('Unsupported')) return help
  const names = [...options, ...globals].flatMap(({ names }) => names)
  const meant = nearest(quotedIn(reason).split('=')[0] ?? '', names)
  return meant === undefined ? help : `did you mean ${meant}? ${help} shows all`
}

function quotedIn(reason: string): string {
  return /\("(?<word>.*)"\)/s.exec(reason)?.groups?.['word'] ?? ''
}
