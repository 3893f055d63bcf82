import { type CommandContribution, S3loError } from '@s3lo/core/plugin'
import { COMMAND_PACKAGES } from './catalog.ts'
import { COMMANDS } from './command-table.ts'
import { nearest } from './suggest.ts'

/**
 * The error for words that select no command: `PLUGIN_NOT_INSTALLED` when a known package brings
 * it, else `USAGE` with the nearest command.
 */
export function unknownCommand(words: readonly string[]): S3loError {
  const known = Object.keys(COMMAND_PACKAGES)
    .toSorted((a, b) => b.length - a.length)
    .find((path) => path.split(' ').every((word, i) => words[i] === word))
  const packageName = known === undefined ? undefined : COMMAND_PACKAGES[known]?.package
  if (packageName !== undefined) {
    return new S3loError('PLUGIN_NOT_INSTALLED', `s3lo ${known} is not installed`, {
      hint: `s3lo plugin add ${packageName}`,
    })
  }
  const meant = nearestCommand(words, known === undefined ? Object.keys(COMMAND_PACKAGES) : [])
  return new S3loError('USAGE', `s3lo has no command ${JSON.stringify(words[0] ?? '')}`, {
    hint: meant === undefined ? 's3lo --help shows all' : `did you mean s3lo ${meant}?`,
  })
}

/** The error for words that begin like commands of a plugin, but name none of them. */
export function unknownInGroup(
  words: readonly string[],
  known: readonly CommandContribution[],
): S3loError {
  const [group = '', wrong = ''] = words
  const meant = nearest(
    wrong,
    known.map(({ path }) => path[1] ?? ''),
  )
  return new S3loError('USAGE', `s3lo ${group} has no command ${JSON.stringify(wrong)}`, {
    hint: meant === undefined ? `s3lo ${group} shows all` : `did you mean s3lo ${group} ${meant}?`,
  })
}

function nearestCommand(
  words: readonly string[],
  ofPackages: readonly string[],
): string | undefined {
  const own = COMMANDS.flatMap(({ paths }) => paths.map((path) => path.join(' ')))
  const candidates = [...own, ...ofPackages]
  const two = words.slice(0, 2).join(' ')
  return (
    nearest(
      two,
      candidates.filter((candidate) => candidate.includes(' ')),
    ) ?? nearest(words[0] ?? '', candidates)
  )
}
