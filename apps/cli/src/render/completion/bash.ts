import { type Place, typedAt } from './places.ts'
import { optionFunctions, placesList, quote, WALK } from './posix.ts'

/** A completion script for bash 3.2 and newer, which takes `--option=value` for three words. */
export function bash(places: readonly Place[]): string {
  const cases = places.map(
    (place) => `    ${quote(place.path)}) words=${quote(typedAt(place).join(' '))} ;;`,
  )
  return `# bash completion for s3lo: source <(s3lo completion bash)
${optionFunctions(places)}
_s3lo() {
  local current="\${COMP_WORDS[COMP_CWORD]}" place='' option='' word next words=''
  local places=${placesList(places)}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [ "$word" = help ] && [ -z "$place$option" ]; then continue; fi
${WALK}
  done
  if [ "$current" = '=' ]; then current=''; fi
  if [ -n "$option" ]; then
    COMPREPLY=($(compgen -W "$(_s3lo_values "$place $option")" -- "$current"))
    return
  fi
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _s3lo s3lo
`
}
