import type { TagEvent } from '../store/tag-events.ts'

/**
 * Events in the order in which they happened, given by tag and time. The clock of a store may tell
 * whole seconds only: of events at one time, each continues what the one before it led to.
 */
export function inOrder(events: readonly TagEvent[]): readonly TagEvent[] {
  const ordered: TagEvent[] = []
  for (const together of Map.groupBy(events, ({ tag, at }) => `${tag} ${at}`).values()) {
    const before = ordered.at(-1)
    const isContinued = before !== undefined && before.tag === together[0]?.tag
    const named = isContinued ? before.became : firstNamed(together)
    for (const event of chained(together, named)) ordered.push(event)
  }
  return ordered
}

/** What a tag named before all of these: what none of them led to. */
function firstNamed(events: readonly TagEvent[]): string | undefined {
  const led = new Set(events.map(({ became }) => became))
  const first = events.find(({ was }) => !led.has(was))
  // In a circle, one of a tag that was there: nothing else is known of it before.
  return (first ?? events.find(({ was }) => was !== undefined))?.was
}

/** Events by what they moved the tag from; each group ends with its first event. */
type ByBeginning = Map<string | undefined, TagEvent[]>

function chained(events: readonly TagEvent[], first: string | undefined): readonly TagEvent[] {
  const left: ByBeginning = Map.groupBy(events.toReversed(), ({ was }) => was)
  // Where the chain is broken, the first that is left begins another.
  return [first, ...events.map(({ was }) => was)].flatMap((start) => follow(left, start))
}

/** Takes the longest chain (Hierholzer's algorithm): of two ways on, the one that comes back goes first. */
function follow(left: ByBeginning, start: string | undefined): TagEvent[] {
  const path: TagEvent[] = []
  const chain: TagEvent[] = []
  for (;;) {
    const last = path.at(-1)
    const next = left.get(last ? last.became : start)?.pop()
    if (next) path.push(next)
    else if (last) {
      path.pop()
      chain.push(last)
    } else return chain.toReversed()
  }
}
