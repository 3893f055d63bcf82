import { describe, expect, it } from 'vitest'
import { explore } from './explore.ts'
import { ProtocolModel } from './model.ts'
import { INSTANCES, MUTATIONS } from './model-mutations.ts'

/** Instances beyond this are cut off (breadth first: every shorter course of events is covered). */
const MAX_STATES = 800_000
const CUT_OFF = new Set(['A', 'R'])

const TIMEOUT_MS = 120_000

describe('the collection protocol', () => {
  let total = 0

  it.each(Object.entries(INSTANCES))(
    'loses no blob of a published tag in instance %s',
    (name, instance) => {
      const { states, complete, trace } = explore(new ProtocolModel(instance), MAX_STATES)
      total += states
      expect(trace).toBeUndefined()
      expect(complete).toBe(!CUT_OFF.has(name))
    },
    TIMEOUT_MS,
  )

  it('was looked at in more than a million states', () => {
    expect(total).toBeGreaterThan(1_000_000)
  })

  it.each(MUTATIONS)(
    'loses a blob without: $removed',
    ({ instance, protocol }) => {
      const model = new ProtocolModel(INSTANCES[instance]!, protocol)
      const { trace = [] } = explore(model, MAX_STATES)
      expect(trace.at(-1)).toMatch(/has lost a blob$/)
      expect(trace.length).toBeLessThan(22)
      expect(trace.every((line) => line !== '')).toBe(true)
    },
    TIMEOUT_MS,
  )

  it('prints how a blob is lost, one request a line', () => {
    const { instance, protocol } = MUTATIONS.find(({ removed }) => removed === 'delete deadline')!
    const { trace } = explore(new ProtocolModel(INSTANCES[instance]!, protocol), MAX_STATES)
    expect(trace?.join('\n')).toMatch(/^collector \d: opens its round$/m)
    expect(trace?.join('\n')).toMatch(/^push 0: publishes t1$/m)
  })
})
