import type { Place } from './places.ts'
import { optionFunctions, placesList, quote, WALK } from './posix.ts'

/** A completion script for zsh. */
export function zsh(places: readonly Place[]): string {
  const cases = places.map(({ path, words, options }) => {
    const entries = [
      ...words.map(({ word, summary }) => entry(word, summary)),
      ...options.flatMap(({ names, description }) => names.map((name) => entry(name, description))),
    ]
    return `    ${quote(path)}) entries=(${entries.join(' ')}) ;;`
  })
  return `#compdef s3lo
# zsh completion for s3lo: source <(s3lo completion zsh)
${optionFunctions(places)}
_s3lo() {
  local place='' option='' word next
  local -a entries
  local places=${placesList(places)}
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
    if [ "$word" = help ] && [ -z "$place$option" ]; then continue; fi
${WALK}
  done
  case "$PREFIX" in
    --*=*) if _s3lo_takes_value "$place \${PREFIX%%=*}"; then
        option="\${PREFIX%%=*}"
        compset -P '*='
      fi ;;
  esac
  if [ -n "$option" ]; then
    entries=(\${=$(_s3lo_values "$place $option")})
    if (( $#entries )); then compadd -a entries; else _files; fi
    return
  fi
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
function entry(word: string, description: string): string {
  return quote(`${word.replaceAll(':', String.raw`\:`)}:${description}`)
}
