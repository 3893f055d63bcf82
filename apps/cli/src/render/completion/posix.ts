import { groupOptions, type Place } from './places.ts'

/** Single quotes of a POSIX shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * Walks the words that are typed already to the place they name, past the values of options;
 * `option` is the one whose value comes next. Shared by bash and zsh.
 */
export const WALK = `    if [ "$word" = '=' ]; then continue; fi
    if [ -n "$option" ]; then option=''; continue; fi
    case "$word" in
      -*) if _s3lo_takes_value "$place $word"; then option="$word"; fi ;;
      *)
        next="\${place:+$place }$word"
        case "$places" in *"|$next|"*) place="$next" ;; esac
        ;;
    esac`

/** The places, as {@link WALK} looks them up. */
export function placesList(places: readonly Place[]): string {
  return quote(`|${places.map(({ path }) => path).join('|')}|`)
}

/** The functions that say of `PLACE OPTION` whether it takes a value, and which there are. */
export function optionFunctions(places: readonly Place[]): string {
  const taking = groupOptions(places, () => 'value')
  const valued = groupOptions(places, ({ values = [] }) => values.join(' '))
  const cases = [...valued]
    .filter(([values]) => values !== '')
    .map(([values, options]) => `    ${patterns(options)}) printf %s ${quote(values)} ;;`)
  return `_s3lo_takes_value() {
  case "$1" in
    ${patterns(taking.get('value') ?? [])}) return 0 ;;
  esac
  return 1
}
_s3lo_values() {
  case "$1" in
${cases.join('\n')}
  esac
}`
}

function patterns(options: readonly (readonly [path: string | undefined, name: string])[]): string {
  return options
    .map(([path, name]) =>
      path === undefined ? `*${quote(` ${name}`)}` : quote(`${path} ${name}`),
    )
    .join('|')
}
