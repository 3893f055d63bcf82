import type { OptionDescription } from '../../describe-command.ts'
import { groupOptions, type Place } from './places.ts'

/** A completion script for fish. */
export function fish(places: readonly Place[]): string {
  const taking = groupOptions(places, () => 'value').get('value') ?? []
  const takes = taking.map(([path, name]) => quote(path === undefined ? name : `${path} ${name}`))
  return `# fish completion for s3lo: s3lo completion fish | source
function __s3lo_place
  set -l place ''
  set -l option ''
  for word in (commandline -opc)[2..-1]
    if test -n "$option"
      set option ''
      continue
    end
    test "$word" = help -a -z "$place"; and continue
    if string match -q -- '-*' $word
      contains -- $word $__s3lo_takes_value; or contains -- "$place $word" $__s3lo_takes_value
      and set option $word
      continue
    end
    set -l next (string trim -- "$place $word")
    contains -- "$next" $__s3lo_places; and set place "$next"
  end
  echo "$place"
end
set -g __s3lo_takes_value ${takes.join(' ')}
set -g __s3lo_places ${places.map(({ path }) => quote(path)).join(' ')}
${places.flatMap(linesOf).join('\n')}
`
}

function linesOf({ path, words, options }: Place): readonly string[] {
  const condition = `-n ${quote(`test (__s3lo_place) = "${path}"`)}`
  return [
    ...words.map(
      ({ word, summary }) => `complete -c s3lo ${condition} -a ${word} -d ${quote(summary)}`,
    ),
    ...options.map(
      (option) =>
        `complete -c s3lo ${condition} ${flagsOf(option)} -d ${quote(option.description)}`,
    ),
  ]
}

function flagsOf({ names, value, values = [] }: OptionDescription): string {
  const flags = names.map((name) =>
    name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  )
  if (values.length > 0) flags.push('-x', '-a', quote(values.join(' ')))
  else if (value !== undefined) flags.push('-r')
  return flags.join(' ')
}

/** Single quotes of fish, in which a backslash takes away the meaning of itself and of quotes. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`
}
