import * as steps from '../../src/gc/steps.ts'
import { BLOB, RECORD_PROTOCOL, type RecordInstance, type RecordProtocol } from './record-model.ts'

/** Image 0 needs a and is the one in question; image 1 needs b, which a tag keeps that none changes. */
const a = BLOB
const b = BLOB << 1
const start = { blobs: a | b, images: [a, b], tags: [0, 1, undefined], collectors: 1 }
const mover = { kind: 'move', tag: 0, to: 1 } as const
const restorer = { kind: 'restore', image: 0, tag: 0 } as const
const purger = { kind: 'purge', image: 0, tag: 0 } as const
const deleter = { kind: 'move', tag: 0 } as const

/** What the model of records is run on (docs/garbage-collection.md, what the model shows). */
export const RECORD_INSTANCES: Readonly<Record<string, RecordInstance>> = {
  /** A tag moves while a collector takes its image's record, or content, for garbage. */
  M: { ...start, records: [0, 1], writers: [mover] },
  /** The same with two. */
  Mm: { ...start, records: [0, 1], collectors: 2, writers: [mover] },
  /** The tag was published by a writer without records, which deletes it meanwhile. */
  Mg: { ...start, records: [1], writers: [mover, { kind: 'go', tag: 0 }] },
  /** Two tags of one image: one moves, one is deleted. */
  M2: { ...start, tags: [0, 1, 0], records: [0, 1], writers: [mover, { kind: 'move', tag: 2 }] },
  /** A writer without records moves the tag meanwhile, to an image that has none. */
  Go: {
    ...start,
    images: [a, b, b],
    tags: [0, 1, 2],
    records: [0, 1],
    writers: [mover, { kind: 'go', tag: 0, to: 2 }],
  },
  /** An untagged image is restored. */
  T: { ...start, tags: [undefined, 1], records: [0, 1], collectors: 2, writers: [restorer] },
  /** An image is restored under another tag while its own is deleted. */
  Td: { ...start, records: [0, 1], writers: [{ ...restorer, tag: 2 }, deleter] },
  /** An image is purged while its tag moves and while it is restored. */
  P: { ...start, records: [0, 1], writers: [purger, mover, { ...restorer, tag: 2 }] },
  /** An image is purged while its tag moves. */
  Pm: { ...start, records: [0, 1], writers: [purger, mover] },
  /** The same where a writer without records has published it. */
  Pg: { ...start, records: [1], writers: [purger, mover] },
  /** An image is purged while it is restored. */
  Pt: { ...start, records: [0, 1], writers: [purger, { ...restorer, tag: 2 }] },
  /** A client looks for a blob that is garbage. */
  L: {
    ...start,
    tags: [undefined, 1],
    records: [1],
    collectors: 2,
    writers: [{ kind: 'link', blob: a }],
  },
}

/** The protocol of records without one of its safety steps, and where that shows. */
export interface RecordMutation {
  readonly removed: string
  readonly instance: string
  readonly protocol: RecordProtocol
}

export const RECORD_MUTATIONS: readonly RecordMutation[] = [
  mutation('listing the records after the pins', 'M', {
    collector: ['round', 'records', 'pins', 'tags'],
  }),
  mutation('pinning what a move displaces', 'M', { pinsDisplaced: false }),
  mutation('pinning all that the displaced image needs', 'Mg', { pinsClosure: false }),
  mutation('looking at the tag again', 'Mg', { looksAgain: false }),
  mutation('looking at the record again', 'Pt', { looksAgain: false }),
  mutation('writing records anew', 'M', { renews: false }),
  mutation('the age of the last listing', 'M', { looksAtAge: false }),
  mutation('the condition of a move', 'Go', { isConditional: false }),
  mutation('the deadline of records', 'Mg', { recordDeadline: false }),
  mutation('the link before the look', 'L', { linksFirst: false }),
  mutation('records as roots', 'T', { recordsAreRoots: false }),
  mutation('the least age of records', 'M', {}, { leastAge: () => 0 }),
  mutation('the tags before a record goes', 'M', {}, withoutReach()),
  mutation('the round of a purge', 'Pt', { purgesInRound: false }),
  mutation('the wait of a purge', 'Pm', { purgeWaits: false }),
  mutation('the tags before a purge', 'Pt', { purgeLooksAtTags: false }),
]

function withoutReach(): Partial<RecordProtocol['steps']> {
  return { mayExpire: (record, now) => steps.mayExpire({ ...record, isReached: false }, now) }
}

function mutation(
  removed: string,
  instance: string,
  change: Partial<RecordProtocol>,
  changedSteps: Partial<RecordProtocol['steps']> = {},
): RecordMutation {
  const protocol = { ...RECORD_PROTOCOL, ...change, steps: { ...steps, ...changedSteps } }
  return { removed, instance, protocol }
}
