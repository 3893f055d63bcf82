import { describe, expect, it } from 'vitest'
import { ByteBudget, type Part, sendParts } from '../../src/transfer/index.ts'

const PART = 1000

describe('sendParts', () => {
  it('reads a part only when there is memory for it', async () => {
    const body = new CountedParts(10)
    const line = new SlowLine(body)
    await line.send(new ByteBudget(3 * PART))
    expect([body.sent, body.mostHeld]).toEqual([10, 3])
  })

  it('continues part by part when all memory is taken', async () => {
    const body = new CountedParts(4)
    await new SlowLine(body).send(new ByteBudget(0))
    expect([body.sent, body.mostHeld]).toEqual([4, 1])
  })

  it('counts the one part that every transfer has, so many of them get few others', async () => {
    const budget = new ByteBudget(4 * PART)
    const bodies = Array.from({ length: 5 }, () => new CountedParts(3))
    const all = { held: 0, most: 0 }
    await Promise.all(bodies.map((body) => new SlowLine(body, all).send(budget)))
    expect(all.held).toBe(0)
    // The first ones took what was free before the others came.
    expect(all.most).toBeLessThanOrEqual(5 + 3)
  })

  it('gives all memory back, also when a part is refused', async () => {
    const budget = new ByteBudget(3 * PART)
    await new SlowLine(new CountedParts(7)).send(budget)
    expect(budget.tryTake(3 * PART)).toBe(true)
    budget.giveBack(3 * PART)
    const refused = new SlowLine(new CountedParts(7))
    refused.refuses = 2
    await expect(refused.send(budget)).rejects.toThrow('refused')
    expect(budget.tryTake(3 * PART)).toBe(true)
    expect(budget.tryTake(1)).toBe(false)
  })
})

/** A body that knows how many of its parts are in memory. */
class CountedParts {
  readonly count: number
  held = 0
  mostHeld = 0
  sent = 0

  constructor(count: number) {
    this.count = count
  }

  async *parts(onRead: () => void): AsyncGenerator<Part, void> {
    for (let index = 0; index < this.count; index += 1) {
      this.held += 1
      this.mostHeld = Math.max(this.mostHeld, this.held)
      onRead()
      yield { bytes: new Uint8Array(PART), isLast: index === this.count - 1 }
    }
  }
}

/** Sends parts; each takes longer than it takes to read all of them. */
class SlowLine {
  readonly #body: CountedParts
  readonly #all: { held: number; most: number }
  refuses: number | undefined

  constructor(body: CountedParts, all = { held: 0, most: 0 }) {
    this.#body = body
    this.#all = all
  }

  async send(budget: ByteBudget): Promise<void> {
    const parts = this.#body.parts(() => {
      this.#all.held += 1
      this.#all.most = Math.max(this.#all.most, this.#all.held)
    })
    const first = await parts.next()
    if (first.done) throw new Error('no part')
    await sendParts(first.value, parts, {
      budget,
      stopReading: () => {},
      send: async ({ index }) => {
        for (let turn = 0; turn < 50; turn += 1) await Promise.resolve()
        if (index === this.refuses) throw new Error('refused')
        this.#body.held -= 1
        this.#body.sent += 1
        this.#all.held -= 1
      },
    })
  }
}
