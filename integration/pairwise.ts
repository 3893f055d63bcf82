/** One value of each parameter. */
export type Combination = Readonly<Record<string, unknown>>

/** Every combination of the values of parameters. */
export function combinationsOf<P extends Readonly<Record<string, readonly unknown[]>>>(
  parameters: P,
): readonly { readonly [K in keyof P]: P[K][number] }[] {
  const start: readonly Combination[] = [{}]
  const all = Object.entries(parameters).reduce(
    (found, [name, values]) =>
      found.flatMap((begun) => values.map((value) => ({ ...begun, [name]: value }))),
    start,
  )
  return all as readonly { readonly [K in keyof P]: P[K][number] }[]
}

/**
 * The fewest of the given combinations that have every pair of values which any of them has, always
 * the same ones. For small sets: the time grows with the power of their size.
 */
export function pairwise<C extends Combination>(all: readonly C[]): readonly C[] {
  const candidates = all.map((combination) => ({ combination, pairs: pairsOf(combination) }))
  const wanted = new Set(candidates.flatMap(({ pairs }) => pairs))
  for (let size = 0; ; size++) {
    const chosen = choose(candidates, wanted, size)
    if (chosen) return chosen
  }
}

interface Candidate<C> {
  readonly combination: C
  readonly pairs: readonly string[]
}

/** At most so many candidates that have all wanted pairs; `undefined` where there are none. */
function choose<C>(
  candidates: readonly Candidate<C>[],
  wanted: ReadonlySet<string>,
  size: number,
): readonly C[] | undefined {
  const [first] = wanted
  if (first === undefined) return []
  const most = Math.max(...candidates.map(({ pairs }) => pairs.length))
  if (wanted.size > size * most) return undefined
  for (const { combination, pairs } of candidates) {
    if (!pairs.includes(first)) continue
    const left = new Set([...wanted].filter((pair) => !pairs.includes(pair)))
    const rest = choose(candidates, left, size - 1)
    if (rest) return [combination, ...rest]
  }
  return undefined
}

function pairsOf(combination: Combination): readonly string[] {
  const facts = Object.entries(combination).map((fact) => JSON.stringify(fact))
  return facts.flatMap((fact, at) => facts.slice(at + 1).map((other) => `${fact} ${other}`))
}
