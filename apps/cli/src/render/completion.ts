import type { CommandDescription, OptionDescription } from '../describe-command.ts'

/** A shell that completion scripts exist for. */
export type Shell = 'bash' | 'zsh' | 'fish' | 'powershell'

/** The values of the argument of `completion`. */
export const SHELLS: readonly Shell[] = ['bash', 'zsh', 'fish', 'powershell']

/** A place on the command line and what may follow it. */
interface Completion {
  /** The words before: empty for `s3lo` itself. */
  readonly path: string
  readonly commands: readonly { readonly word: string; readonly summary: string }[]
  readonly options: readonly OptionDescription[]
}

/** A script that makes a shell complete the commands and their options. */
export function completionScript(
  shell: Shell,
  commands: readonly CommandDescription[],
  globals: readonly OptionDescription[],
): string {
  const places = toPlaces(commands, globals)
  switch (shell) {
    case 'bash':
      return bash(places)
    case 'zsh':
      return zsh(places)
    case 'fish':
      return fish(places)
    case 'powershell':
      return powershell(places)
  }
}

function toPlaces(
  commands: readonly CommandDescription[],
  globals: readonly OptionDescription[],
): readonly Completion[] {
  const places: Completion[] = []
  const groups = new Map<string, { word: string; summary: string }[]>([['', []]])
  for (const { paths, summary, options, globals: shared } of commands) {
    for (const path of paths) {
      places.push({ path: path.join(' '), commands: [], options: [...options, ...shared] })
      for (const [i, word] of path.entries()) {
        const before = path.slice(0, i).join(' ')
        const group = groups.get(before) ?? []
        groups.set(before, group)
        const isLast = i === path.length - 1
        if (!group.some((known) => known.word === word)) {
          group.push({ word, summary: isLast ? summary : `commands of ${word}` })
        }
      }
    }
  }
  const help = { names: ['-h', '--help'], description: 'show help' }
  return [
    ...[...groups].map(([path, words]) => ({
      path,
      commands: words,
      options: path === '' ? [...globals, help] : [help],
    })),
    ...places,
  ]
}

function wordsOf({ commands, options }: Completion): readonly string[] {
  return [...commands.map(({ word }) => word), ...options.flatMap(({ names }) => names)]
}

/** Single quotes of a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** Walks the words that are typed already to the place they name; shared by bash and zsh. */
const POSIX_WALK = `    case "$word" in
      -*) ;;
      *)
        next="\${place:+$place }$word"
        case "$places" in *"|$next|"*) place="$next" ;; esac
        ;;
    esac`

function placesList(places: readonly Completion[]): string {
  return quote(`|${places.map(({ path }) => path).join('|')}|`)
}

function bash(places: readonly Completion[]): string {
  const cases = places.map(
    (place) => `    ${quote(place.path)}) words=${quote(wordsOf(place).join(' '))} ;;`,
  )
  return `# bash completion for s3lo: source <(s3lo completion bash)
_s3lo() {
  local current="\${COMP_WORDS[COMP_CWORD]}" place='' word next words=''
  local places=${placesList(places)}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${POSIX_WALK}
  done
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _s3lo s3lo
`
}

function zsh(places: readonly Completion[]): string {
  const cases = places.map(({ path, commands, options }) => {
    const entries = [
      ...commands.map(({ word, summary }) => zshEntry(word, summary)),
      ...options.flatMap(({ names, description }) =>
        names.map((name) => zshEntry(name, description)),
      ),
    ]
    return `    ${quote(path)}) entries=(${entries.join(' ')}) ;;`
  })
  return `#compdef s3lo
# zsh completion for s3lo: source <(s3lo completion zsh)
_s3lo() {
  local place='' word next
  local -a entries
  local places=${placesList(places)}
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
${POSIX_WALK}
  done
  case "$place" in
${cases.join('\n')}
  esac
  _describe 's3lo' entries
  [[ "$PREFIX" == -* ]] || _files
}
compdef _s3lo s3lo
`
}

/** A word and what it is for, as `_describe` reads them. */
function zshEntry(word: string, description: string): string {
  return quote(`${word.replaceAll(':', String.raw`\:`)}:${description}`)
}

function fish(places: readonly Completion[]): string {
  const lines = places.flatMap(({ path, commands, options }) => {
    const condition = `-n ${quote(`test (__s3lo_place) = "${path}"`)}`
    return [
      ...commands.map(
        ({ word, summary }) => `complete -c s3lo ${condition} -a ${word} -d ${quote(summary)}`,
      ),
      ...options.map(({ names, value, description }) => {
        const flags = names.map((name) =>
          name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
        )
        const takes = value === undefined ? '' : ' -r'
        return `complete -c s3lo ${condition} ${flags.join(' ')}${takes} -d ${quote(description)}`
      }),
    ]
  })
  return `# fish completion for s3lo: s3lo completion fish | source
function __s3lo_place
  set -l place ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$place $word")
    contains -- "$next" ${places.map(({ path }) => `"${path}"`).join(' ')}; and set place "$next"
  end
  echo "$place"
end
${lines.join('\n')}
`
}

function powershell(places: readonly Completion[]): string {
  const cases = places.map(
    (place) =>
      `    ${powershellLiteral(place.path)} = @(${wordsOf(place).map(powershellLiteral).join(', ')})`,
  )
  return `# PowerShell completion for s3lo: s3lo completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName s3lo -ScriptBlock {
  param($current, $line, $position)
  $places = @{
${cases.join('\n')}
  }
  $place = ''
  foreach ($element in ($line.CommandElements | Select-Object -Skip 1)) {
    if ($element.Extent.EndOffset -ge $position) { break }
    $next = "$place $element".Trim()
    if ($places.ContainsKey($next)) { $place = $next }
  }
  $places[$place] | Where-Object { $_ -like "$current*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`
}

function powershellLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
