/**
 * Every object that is deleted, in random work on a store, judged at that moment against the
 * whole store: see delete-ledger.ts. By night there are more of them.
 */
import type { StorageBackend } from '@s3lo/core'
import { isS3loError } from '@s3lo/core/plugin'
import { FaultyBackend } from '@s3lo/core/testing'
import { describe, expect, it } from 'vitest'
import type { Actor, DeleteLedger } from './delete-ledger.ts'
import { DeleteWorld } from './delete-world.ts'

const SEEDS = process.env['S3LO_TEST_NIGHTLY'] === undefined ? 10 : 100
const STEPS = 150
const MUTANT_SEEDS = 20

/** Pieces of work at once. */
const CROWD = 5

/** By whom, and what. */
const EXPECTED = [
  ...['record', 'entry', 'event', 'member', 'link', 'upload', 'tag', 'tag file'].map(byCollector),
  ...['blob', 'referrer blob'].map(byCollector),
  ...['tag', 'tag file', 'record', 'entry', 'event', 'link'].map((kind) => `user: ${kind}`),
  'writer: tag moved',
]
/** One after the other, layers are stored in chunks as well. */
const ALONE = [...['recipe', 'table', 'chunk'].map(byCollector), 'user: member']

function byCollector(kind: string): string {
  return `collector: ${kind}`
}

describe('deletes', () => {
  it.each([
    { how: 'one after the other', width: 1, expected: [...EXPECTED, ...ALONE] },
    { how: `${CROWD} at once`, width: CROWD, expected: EXPECTED },
  ])(
    '$how take nothing that is alive, and of what is asked for nothing else',
    async ({ how, width, expected }) => {
      const counts = new Map<string, number>()
      for (let seed = 1; seed <= SEEDS; seed++) {
        const { ledger, left } = await play(seed, width)
        expect({ seed, violations: ledger.violations, left }).toEqual({
          seed,
          violations: [],
          left: [],
        })
        for (const [name, count] of ledger.counts) counts.set(name, (counts.get(name) ?? 0) + count)
      }
      const names = [...counts.keys()].toSorted()
      const text = names.map((name) => `${name} ${counts.get(name)}`)
      process.stderr.write(`deletes, ${how}: ${text.join(', ')}\n`)
      expect(names).toEqual(expect.arrayContaining(expected))
    },
    SEEDS * 60_000,
  )
})

async function play(
  seed: number,
  width: number,
): Promise<{ readonly ledger: DeleteLedger; readonly left: readonly string[] }> {
  const world = await DeleteWorld.open(seed, { width })
  await world.work(Math.ceil(STEPS / width))
  return { ledger: world.ledger, left: await world.end() }
}

/** What a participant does not see or does not do, and what is lost by it. */
interface Mutant {
  readonly name: string
  readonly actors: readonly Actor['kind'][]
  readonly distort: (backend: FaultyBackend) => void
  readonly loss: RegExp
  /** Pieces of work at once (default 1). */
  readonly width?: number
}

const RECORD = /^\.s3lo\/repositories\/.+\/_manifests\//

const MUTANTS: readonly Mutant[] = [
  {
    name: 'a move or delete that does not write the record anew',
    actors: ['writer', 'user'],
    distort: skipRenewal,
    loss: /^writer: tag moved .* has no record of now$/,
  },
  {
    name: 'a collector that believes the date of the push',
    actors: ['writer', 'user'],
    distort: skipRenewal,
    loss: /^collector: record .* it has been untagged for/,
  },
  {
    name: 'a collector that does not see a tag',
    actors: ['collector'],
    distort: (backend) => hide(backend, /^manifests\/app\/a\//),
    loss: /^collector: record .* app:a reaches it$/,
  },
  {
    name: 'a collector that does not see records',
    actors: ['collector'],
    distort: (backend) => hide(backend, RECORD),
    loss: /^collector: blob .* needs it$/,
  },
  {
    name: 'a collector that does not see links',
    actors: ['collector'],
    distort: (backend) => hide(backend, /^\.s3lo\/links\//),
    loss: /^collector: blob .* protects it$/,
  },
  {
    name: 'a collector that does not see recipes',
    actors: ['collector'],
    distort: (backend) => hide(backend, /^\.s3lo\/recipes\//),
    loss: /^collector: chunk .* a recipe names it$/,
  },
  {
    name: 'a collector to which records are old',
    actors: ['collector'],
    distort: (backend) => age(backend, RECORD),
    loss: /^collector: entry .* it has been untagged for/,
  },
  {
    name: 'a collector that does not see pins',
    actors: ['collector'],
    distort: (backend) => hide(backend, /^\.s3lo\/gc\/pins\//),
    loss: /^lost: /,
    width: CROWD,
  },
  {
    name: 'a purge that does not see the tags of others',
    actors: ['user'],
    distort: (backend) => hide(backend, /^manifests\//),
    loss: /^user: record .* reaches it$/,
  },
]

describe('the ledger', () => {
  it.each(MUTANTS)('shows what is lost by $name', async ({ actors, distort, loss, width = 1 }) => {
    for (let seed = 1; seed <= MUTANT_SEEDS; seed++) {
      const world = await DeleteWorld.open(seed, {
        width,
        distort: (actor, backend) => {
          const mutant = new FaultyBackend(backend)
          if (actors.includes(actor)) distort(mutant)
          return mutant
        },
      })
      // What is lost makes others fail.
      await world.work(Math.ceil(STEPS / width)).catch((error: unknown) => {
        if (!isS3loError(error)) throw error
      })
      if (world.ledger.violations.some((violation) => loss.test(violation))) return
    }
    expect.fail(`nothing was lost in ${MUTANT_SEEDS} worlds`)
  })
})

function skipRenewal(backend: FaultyBackend): void {
  const put = backend.put.bind(backend)
  backend.put = async (key, ...rest) => {
    const present = RECORD.test(key) ? await backend.head(key) : undefined
    return present ?? put(key, ...rest)
  }
}

function hide(backend: FaultyBackend, keys: RegExp): void {
  overList(backend, (info) => (keys.test(info.key) ? undefined : info))
}

const MONTH_MS = 30 * 24 * 3_600_000

function age(backend: FaultyBackend, keys: RegExp): void {
  overList(backend, (info) =>
    keys.test(info.key)
      ? { ...info, lastModified: new Date(info.lastModified.getTime() - MONTH_MS) }
      : info,
  )
}

type Listed = StorageBackend['list'] extends (...args: never[]) => AsyncIterable<infer T>
  ? T
  : never

function overList(backend: FaultyBackend, toSeen: (info: Listed) => Listed | undefined): void {
  const list = backend.list.bind(backend)
  backend.list = async function* (...args) {
    for await (const info of list(...args)) {
      const seen = toSeen(info)
      if (seen) yield seen
    }
  }
}
