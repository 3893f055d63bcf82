import * as steps from '../../src/gc/steps.ts'
import { type Instance, PROTOCOL, type Protocol } from './model.ts'

/** Blobs: a is referenced by t0, b is garbage, c is not there. */
const a = 1
const b = 2
const c = 4
const deleter = { kind: 'delete', tags: [0] } as const
const pusher = { kind: 'push', tag: 1, names: a | b } as const
const other = { kind: 'push', tag: 2, names: b | c } as const
const copier = { kind: 'copy', from: 0, tag: 2 } as const
const start = { blobs: a | b, tags: [a, 0, 0] }

/** What the model is run on (docs/garbage-collection.md, what the model shows). */
export const INSTANCES: Readonly<Record<string, Instance>> = {
  A: { ...start, writers: [pusher, other, deleter], collectors: 2 },
  Bt: {
    ...start,
    writers: [{ ...pusher, names: a | b | c }, deleter],
    collectors: 1,
    second: 'batch',
  },
  E: { ...start, writers: [copier, deleter], collectors: 2, anyCandidates: true },
  F: {
    ...start,
    tags: [a],
    writers: [{ ...pusher, tag: 0 }, { ...other, tag: 0 }, deleter],
    collectors: 1,
    anyCandidates: true,
  },
  G: {
    ...start,
    tags: [a, b, 0],
    writers: [
      { ...pusher, tag: 0 },
      { ...copier, from: 1 },
      { kind: 'delete', tags: [1, 0] },
    ],
    collectors: 1,
  },
  K: {
    ...start,
    tags: [a, 0],
    writers: [pusher],
    collectors: 2,
    anyCandidates: true,
    mortal: true,
  },
  N: { ...start, writers: [pusher, other, deleter], collectors: 2, strict: true },
  R: { ...start, writers: [other, deleter], collectors: 2, second: 'renew' },
  S: {
    ...start,
    tags: [a, 0],
    writers: [pusher],
    collectors: 2,
    anyCandidates: true,
    second: 'retry',
  },
}

/** A protocol without one of its safety steps, and where that shows. */
export interface Mutation {
  readonly removed: string
  readonly instance: string
  readonly protocol: Protocol
}

/** One for each of the hazards H1 to H24 of docs/garbage-collection.md, in no order. */
export const MUTATIONS: readonly Mutation[] = [
  mutation('publish deadline', 'S', { publishDeadline: false }),
  mutation('margin for pins', 'S', { marginForPins: false }),
  mutation('no revival of an expired pin', 'S', { noRevival: false }),
  mutation('gap check on renewal', 'R', {}, { continuesCover: () => true }),
  mutation(
    'repeating the checks after a refused publication',
    'S',
    {},
    { isStillChecked: () => true },
  ),
  mutation('smallest deadline of all batches', 'Bt', {}, { deadlineOf: lastDeadline }),
  mutation('delete deadline', 'S', { deleteDeadline: false }),
  mutation('margin for rounds', 'S', { marginForRounds: false }),
  mutation('leaving the round after an unanswered delete', 'S', {}, { mayRelease: () => true }),
  mutation('second scan of the manifests', 'A', { collector: ['round', 'pins'] }),
  mutation('order of pins and tags', 'A', { collector: ['round', 'tags', 'pins'] }),
  mutation('order of round and pins', 'A', { collector: ['pins', 'round', 'tags'] }),
  mutation(
    'looking at the manifests before a delete',
    'A',
    {},
    { mayDelete: ({ isPinned }) => !isPinned },
  ),
  mutation(
    'looking at the pins before a delete',
    'A',
    {},
    { mayDelete: ({ isReferenced }) => !isReferenced },
  ),
  mutation('listing the rounds', 'S', { listsRounds: false }),
  mutation('order of pin and listing the rounds', 'S', { pinsBeforeListing: false }),
  mutation('waiting for contested rounds', 'S', { waits: false }),
  mutation('looking only after the wait', 'S', { looksAfterWaiting: false }),
  mutation('keeping the pin until after the publication', 'A', { keepsPin: false }),
  mutation('pinning uploads', 'A', { pinsUploads: false }),
  mutation('pinning what is re-used', 'S', { pinsReused: false }),
  mutation('second look of the copier at its source', 'E', { confirmsSource: false }),
  mutation('requests that end with their process', 'K', { requestsEndWithProcess: false }),
  mutation('the wait of the copier', 'E', { waits: false }),
]

function lastDeadline(lifetimes: Iterable<steps.Lifetime>): number | undefined {
  return [...lifetimes].at(-1)?.expires
}

function mutation(
  removed: string,
  instance: string,
  change: Partial<Protocol>,
  changedSteps: Partial<Protocol['steps']> = {},
): Mutation {
  const protocol = { ...PROTOCOL, ...change, steps: { ...steps, ...changedSteps } }
  return { removed, instance, protocol }
}
