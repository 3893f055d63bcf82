import { describe, expect, it } from 'vitest'
import { ChunkModel } from './chunk-model.ts'
import { CHUNK_INSTANCES, CHUNK_MUTATIONS } from './chunk-mutations.ts'
import { explore } from './explore.ts'
import { ProtocolModel } from './model.ts'
import { INSTANCES, MUTATIONS } from './model-mutations.ts'
import { RECORD_INSTANCES, RECORD_MUTATIONS } from './record-mutations.ts'
import { RecordModel } from './record-model.ts'

/** Breadth first: every shorter course of events is covered. `check-model.ts` continues from there. */
const MAX_STATES = 100_000
/** The shortest way to lose a blob is found within these. */
const MAX_MUTATED_STATES = 800_000

const TIMEOUT_MS = 120_000

describe('the collection protocol', () => {
  it.each(Object.entries(INSTANCES))(
    'loses no blob of a published tag in instance %s',
    (_, instance) => {
      const { states, trace } = explore(new ProtocolModel(instance), MAX_STATES)
      expect(trace).toBeUndefined()
      expect(states).toBeGreaterThan(30_000)
    },
    TIMEOUT_MS,
  )

  it.each(MUTATIONS)(
    'loses a blob without: $removed',
    ({ instance, protocol }) => {
      const model = new ProtocolModel(INSTANCES[instance]!, protocol)
      const { trace = [] } = explore(model, MAX_MUTATED_STATES)
      expect(trace.at(-1)).toMatch(/has lost a blob$/)
      expect(trace.length).toBeLessThan(22)
      expect(trace.every((line) => line !== '')).toBe(true)
    },
    TIMEOUT_MS,
  )

  it('prints how a blob is lost, one request a line', () => {
    const { instance, protocol } = MUTATIONS.find(({ removed }) => removed === 'delete deadline')!
    const { trace } = explore(new ProtocolModel(INSTANCES[instance]!, protocol), MAX_MUTATED_STATES)
    expect(trace?.join('\n')).toMatch(/^collector \d: opens its round$/m)
    expect(trace?.join('\n')).toMatch(/^push 0: publishes t1$/m)
  })
})

describe('the protocol of digest records', () => {
  it.each(Object.entries(RECORD_INSTANCES))(
    'loses no image that a tag or a record keeps in instance %s',
    (_, instance) => {
      const { states, trace } = explore(new RecordModel(instance), MAX_STATES)
      expect(trace).toBeUndefined()
      expect(states).toBeGreaterThan(5000)
    },
    TIMEOUT_MS,
  )

  it.each(RECORD_MUTATIONS)(
    'loses an image without: $removed',
    ({ instance, protocol }) => {
      const model = new RecordModel(RECORD_INSTANCES[instance]!, protocol)
      const { trace = [] } = explore(model, MAX_MUTATED_STATES)
      expect(trace.at(-1)).toMatch(/lost a blob|record|is gone/)
      expect(trace.length).toBeLessThan(30)
      expect(trace.every((line) => line !== '')).toBe(true)
    },
    TIMEOUT_MS,
  )
})

describe('the protocol of layers in chunks', () => {
  it.each(Object.entries(CHUNK_INSTANCES))(
    'loses no chunk of a tag or a recipe in instance %s',
    (_, instance) => {
      const { states, trace } = explore(new ChunkModel(instance), MAX_STATES)
      expect(trace).toBeUndefined()
      expect(states).toBeGreaterThan(20_000)
    },
    TIMEOUT_MS,
  )

  it.each(CHUNK_MUTATIONS)(
    'loses a chunk or a recipe without: $removed',
    ({ instance, protocol }) => {
      const model = new ChunkModel(CHUNK_INSTANCES[instance]!, protocol)
      const { trace = [] } = explore(model, MAX_MUTATED_STATES)
      expect(trace.at(-1)).toMatch(/has lost a chunk|has lost its recipe/)
      expect(trace.length).toBeLessThan(30)
      expect(trace.every((line) => line !== '')).toBe(true)
    },
    TIMEOUT_MS,
  )
})
