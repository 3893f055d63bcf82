import * as steps from '../../src/gc/steps.ts'
import { CHUNK, CHUNK_PROTOCOL, type ChunkInstance, type ChunkProtocol } from './chunk-model.ts'

/** Layer 0 has a and b and is the one in question, layer 1 has b and c, layer 2 has d and a tag for good. */
const a = CHUNK
const b = CHUNK << 1
const c = CHUNK << 2
const d = CHUNK << 3
const start = {
  chunks: a | b | d,
  layers: [a | b, b | c, d],
  recipes: [0, 2],
  tags: [0, undefined, 2],
  collectors: 2,
}
/** One collector takes the recipe of layer 0, one the chunk that it shares. */
const shared = [1, b]
const pusher = { kind: 'push', tag: 1, layer: 1, like: 0 } as const
const deleter = { kind: 'delete', tag: 0 } as const
const linker = { kind: 'link', layer: 0 } as const

/** What the model of chunks is run on (docs/garbage-collection.md, what the model shows). */
export const CHUNK_INSTANCES: Readonly<Record<string, ChunkInstance>> = {
  /** A layer is pushed that shares a chunk with a tag, which is deleted meanwhile. */
  Cd: { ...start, writers: [pusher, deleter], candidates: shared },
  /** The same, and the tag is moved to another layer. */
  Cm: { ...start, writers: [pusher, { kind: 'move', tag: 0, layer: 2 }], candidates: shared },
  /** The layer of a tag that is deleted meanwhile is pushed again. */
  Ca: { ...start, writers: [{ ...pusher, layer: 0 }, deleter], collectors: 1 },
  /** Two layers are pushed that share a chunk which is garbage, and nothing is known. */
  Cp: {
    ...start,
    recipes: [2],
    tags: [undefined, undefined, 2],
    writers: [
      { kind: 'push', tag: 0, layer: 0 },
      { kind: 'push', tag: 1, layer: 1 },
    ],
    collectors: 1,
  },
  /** A client looks for a layer in chunks whose tag is deleted. */
  Cl: { ...start, writers: [linker, deleter] },
}

/** The protocol of chunks without one of its safety steps, and where that shows. */
export interface ChunkMutation {
  readonly removed: string
  readonly instance: string
  readonly protocol: ChunkProtocol
}

export const CHUNK_MUTATIONS: readonly ChunkMutation[] = [
  mutation('listing the recipes after the pins', 'Cp', {
    chunkRound: ['round', 'recipes', 'pins'],
  }),
  mutation('recipes as roots of their chunks', 'Cl', { recipesAreRoots: false }),
  mutation('looking at the tag and the recipe again', 'Cd', { looksAgain: false }),
  mutation('looking again at a tag that moves', 'Cm', { looksAgain: false }),
  mutation('pinning known chunks', 'Cd', { pinsKnown: false }),
  mutation('pinning the layer', 'Ca', { pinsLayer: false }),
  mutation('the recipe after its chunks', 'Cp', { recipeLast: false }),
  mutation('the deadline of recipes', 'Cp', { recipeDeadline: false }),
  mutation('the tags before a recipe goes', 'Cp', { recipeRound: ['round', 'pins'] }),
  mutation('the recipes before a chunk goes', 'Cp', { chunkRound: ['round', 'pins'] }),
  mutation('the wait for rounds', 'Cp', {}, { mayLook: () => true }),
]

function mutation(
  removed: string,
  instance: string,
  change: Partial<ChunkProtocol>,
  changedSteps: Partial<ChunkProtocol['steps']> = {},
): ChunkMutation {
  const protocol = { ...CHUNK_PROTOCOL, ...change, steps: { ...steps, ...changedSteps } }
  return { removed, instance, protocol }
}
