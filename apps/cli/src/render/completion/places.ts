import type { CommandDescription, OptionDescription } from '../../describe-command.ts'

/** A word that may follow, and what it is for. */
interface Word {
  readonly word: string
  readonly summary: string
}

/** A place on the command line and what may follow it. */
export interface Place {
  /** The words before: empty for `s3lo` itself. */
  readonly path: string
  /** Commands, or values of an argument. */
  readonly words: readonly Word[]
  readonly options: readonly OptionDescription[]
}

/** An option at a place. */
interface PlacedOption {
  readonly path: string
  readonly name: string
  readonly option: OptionDescription
}

const HELP: OptionDescription = { names: ['-h', '--help'], description: 'show help' }

/** Every place of the command line. */
export function toPlaces(
  commands: readonly CommandDescription[],
  globals: readonly OptionDescription[],
): readonly Place[] {
  const groups = new Map<string, Word[]>([
    ['', [{ word: 'help', summary: 'show help of a command' }]],
  ])
  for (const { paths, summary } of commands) {
    for (const path of paths) addToGroups(groups, path, summary)
  }
  return [
    ...[...groups].map(([path, words]) => ({
      path,
      words,
      options: path === '' ? [...globals, HELP] : [HELP],
    })),
    ...commands.flatMap(({ paths, options, globals: shared, arguments: given }) =>
      paths.map((path) => ({
        path: path.join(' '),
        words: given.flatMap(({ values = [] }) => values.map((word) => ({ word, summary: word }))),
        options: [...options, ...shared],
      })),
    ),
  ]
}

function addToGroups(groups: Map<string, Word[]>, path: readonly string[], summary: string): void {
  for (const [i, word] of path.entries()) {
    const before = path.slice(0, i).join(' ')
    const group = groups.get(before) ?? []
    groups.set(before, group)
    if (group.some((known) => known.word === word)) continue
    group.push({ word, summary: i === path.length - 1 ? summary : `commands of ${word}` })
  }
}

/** What is typed at a place: words and options. */
export function typedAt({ words, options }: Place): readonly string[] {
  return [...words.map(({ word }) => word), ...options.flatMap(({ names }) => names)]
}

/** Options that take a value, by place and name. */
export function valuedOptions(places: readonly Place[]): readonly PlacedOption[] {
  return optionsOf(places).filter(({ option }) => option.value !== undefined)
}

function optionsOf(places: readonly Place[]): readonly PlacedOption[] {
  return places.flatMap(({ path, options }) =>
    options.flatMap((option) => option.names.map((name) => ({ path, name, option }))),
  )
}

/**
 * The valued options by what `keyOf` says of them: each as `PLACE NAME`, or as `* NAME` where it is
 * the same at every place that has an option of this name.
 */
export function groupOptions(
  places: readonly Place[],
  keyOf: (option: OptionDescription) => string,
): ReadonlyMap<string, readonly (readonly [path: string | undefined, name: string])[]> {
  const keys = new Map<string, Set<string>>()
  const keyed = optionsOf(places).map((each) => {
    const key = each.option.value === undefined ? '' : keyOf(each.option)
    keys.set(each.name, (keys.get(each.name) ?? new Set()).add(key))
    return { ...each, key }
  })
  const grouped = new Map<string, Map<string, readonly [string | undefined, string]>>()
  for (const { path, name, key, option } of keyed) {
    if (option.value === undefined) continue
    const at = keys.get(name)?.size === 1 ? undefined : path
    const group = grouped.get(key) ?? new Map<string, readonly [string | undefined, string]>()
    grouped.set(key, group.set(`${at ?? '*'} ${name}`, [at, name]))
  }
  return new Map([...grouped].map(([key, group]) => [key, [...group.values()]]))
}
