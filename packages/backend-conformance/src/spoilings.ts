import type { FaultKind, FaultProxy } from '@s3lo/core/testing'

/** How one run of an operation is broken. */
export interface Spoiling {
  readonly kind: FaultKind
  /** Number of the request, from 1. */
  readonly nth: number
  /** Whether all requests after it are broken too. */
  readonly isLasting: boolean
}

/**
 * How much of a matrix is run. `product`: every kind at every request, once at that request alone and
 * once from it on. `rotation`: the kinds take turns, until every request was broken alone and from it
 * on, and every kind broke one in both ways.
 */
export type FaultExtent = 'product' | 'rotation'

/** The runs of a matrix, always the same ones for the same arguments. */
export function spoilingsOf(
  extent: FaultExtent,
  kinds: readonly FaultKind[],
  requests: number,
): readonly Spoiling[] {
  if (requests === 0) return []
  if (extent === 'rotation') {
    // A request is broken alone by another kind than from it on.
    const half = kinds.length >> 1
    const others = [...kinds.slice(half), ...kinds.slice(0, half)]
    return [...turnsOf(kinds, requests, false), ...turnsOf(others, requests, true)]
  }
  return [false, true].flatMap((isLasting) =>
    kinds.flatMap((kind) =>
      Array.from({ length: requests }, (_, i) => ({ kind, nth: i + 1, isLasting })),
    ),
  )
}

/** Whole turns of the kinds, each kind at the next request, as many as the requests need. */
function turnsOf(
  kinds: readonly FaultKind[],
  requests: number,
  isLasting: boolean,
): readonly Spoiling[] {
  const turns = Array.from({ length: Math.ceil(requests / kinds.length) }, () => kinds).flat()
  return turns.map((kind, i) => ({ kind, nth: (i % requests) + 1, isLasting }))
}

/** Breaks requests that pass from now on. */
export function spoil(proxy: FaultProxy, { kind, nth, isLasting }: Spoiling): void {
  if (isLasting) proxy.spoilFrom(nth, kind)
  else proxy.spoil(nth, kind)
}

/** For messages about a run that went wrong. */
export function titleOf({ kind, nth, isLasting }: Spoiling): string {
  return `${kind} of request ${nth}${isLasting ? ' and on' : ''}`
}
