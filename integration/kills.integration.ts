/**
 * Processes that change a local store and are killed with -9 at random times, or stopped for longer than what
 * protects their content lives. S3LO_TEST_KILLS is how often each is killed: 8 by default, 200 every night.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import local from '@s3lo/backend-local/plugin'
import {
  clean,
  createHost,
  digestOf,
  isS3loError,
  openMembership,
  type UploadName,
} from '@s3lo/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  contentOf,
  IMAGE,
  KilledStore,
  type Lives,
  type Piece,
  TAG,
  type Work,
} from './kill-worker.ts'
import { LineWorker } from './line-worker.ts'
import { randomOf } from './random.ts'
import { readSoaked } from './soak-images.ts'

const isNightly = process.env['S3LO_TEST_NIGHTLY'] !== undefined
const KILLS = isNightly ? 200 : Number(process.env['S3LO_TEST_KILLS'] ?? 8)
const KILLS_TIMEOUT_MS = 600_000 + KILLS * 5000
const SEED = 2026
/** Processes that are stopped at once, each at another time. */
const STOPS = isNightly ? 40 : 5
const STOPPED_AT_ONCE = 5
/** Rounds of two processes, and what each sends in one (bytes). */
const RACES = 200
const RACE_BYTES = 4096
const LIVES: Lives = { lifeMs: 3000, marginMs: 500 }
const CLEAN = {
  confirm: true,
  only: 'blobs',
  graceMs: 0,
  expectFewer: true,
  protocol: { ttlSeconds: LIVES.lifeMs / 1000, marginMs: LIVES.marginMs },
} as const

let work: string
/** A store whose tag was moved, and which has another tag. */
let template: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 's3lo-kills-'))
  template = join(work, 'template')
  await mkdir(template)
  await writeFile(join(template, 's3lo.yaml'), 'chunked: true\n')
  const killed = await KilledStore.open(template)
  await killed.perform({ kind: 'push', image: 0 })
  await killed.perform({ kind: 'push', image: 1 })
  await killed.perform({ kind: 'push', image: 2, tag: 'other' })
})
afterAll(() => rm(work, { recursive: true, force: true }))

/** What is done to a copy of the template. */
interface Case {
  /** What comes before it, and what it is. */
  readonly prepare: (killed: KilledStore) => Promise<Work>
  /** Does it again, in another process, and looks at what came of it. */
  readonly repeat: (killed: KilledStore, work: Work) => Promise<void>
}

const repeated = async (killed: KilledStore, again: Work): Promise<void> => {
  await killed.perform(again)
  await readSoaked(killed.store.backend, { name: IMAGE, tag: TAG })
}

const PIECE_BYTES = 1024 * 1024
const PIECES = ['one', 'two'].map((text, i) => ({
  offset: i * PIECE_BYTES,
  size: PIECE_BYTES,
  text,
}))

function endOf(pieces: readonly Piece[]): Case {
  const content = Buffer.concat(pieces.map(contentOf))
  return {
    prepare: async (killed) => {
      const upload = await begun(killed, pieces)
      return { kind: 'finish', upload, digest: digestOf(content) }
    },
    repeat: async (killed, again) => {
      if (again.kind !== 'finish') throw new Error(again.kind)
      await finished(killed, again.upload, content)
    },
  }
}

const CASES = {
  'a push in chunks': {
    prepare: () => Promise.resolve({ kind: 'push', image: 3 }),
    repeat: repeated,
  },
  'a move of a tag': {
    prepare: () => Promise.resolve({ kind: 'move', from: 'other' }),
    repeat: repeated,
  },
  'a delete': {
    prepare: () => Promise.resolve({ kind: 'delete' }),
    repeat: async (killed, again) => {
      const digest = await digestOfTag(await KilledStore.open(template))
      await killed.perform(again).catch((error: unknown) => {
        if (!isS3loError(error, 'NOT_FOUND')) throw error
      })
      expect(await killed.store.find({ name: IMAGE, tag: TAG })).toBeUndefined()
      await killed.perform({ kind: 'restore', digest })
      await readSoaked(killed.store.backend, { name: IMAGE, tag: TAG })
    },
  },
  'a restore': {
    prepare: async (killed) => {
      const digest = await digestOfTag(killed)
      await killed.perform({ kind: 'delete' })
      return { kind: 'restore', digest }
    },
    repeat: repeated,
  },
  'an append': {
    prepare: async (killed) => {
      const upload = await killed.uploads().begin(IMAGE)
      return { kind: 'append', upload, piece: { offset: 0, size: PIECE_BYTES, text: 'killed' } }
    },
    repeat: async (killed, again) => {
      if (again.kind !== 'append') throw new Error(again.kind)
      const uploads = killed.uploads()
      const { offset = -1 } = (await uploads.status(again.upload)) ?? {}
      expect([0, PIECE_BYTES]).toContain(offset)
      const piece = { ...again.piece, ...(offset === 0 && { text: 'the next client' }) }
      if (offset === 0) await killed.perform({ ...again, piece })
      await finished(killed, again.upload, contentOf(piece))
    },
  },
  'the end of an upload in one piece': endOf(PIECES.slice(0, 1)),
  'the end of an upload in two pieces': endOf(PIECES),
} as const satisfies Record<string, Case>

/** An upload of which these pieces are there. */
async function begun(killed: KilledStore, pieces: readonly Piece[]): Promise<UploadName> {
  const upload = await killed.uploads().begin(IMAGE)
  for (const piece of pieces) await killed.perform({ kind: 'append', upload, piece })
  return upload
}

/** The upload becomes a blob of these bytes and no others, which is the repository's. */
async function finished(
  killed: KilledStore,
  upload: UploadName,
  content: Uint8Array,
): Promise<void> {
  const { store } = killed
  const digest = digestOf(content)
  expect(await killed.uploads().finish(upload, digest)).toEqual({ kind: 'stored' })
  const descriptor = { mediaType: 'x', digest, size: content.byteLength }
  for await (const _ of await store.fetch(descriptor));
  expect(await openMembership(store.backend).find(IMAGE, digest)).toBeDefined()
}

async function digestOfTag({ store }: KilledStore): Promise<string> {
  return (await store.resolve({ name: IMAGE, tag: TAG })).digest
}

/** Every tag that is there is whole, every blob is what its key says, and doctor finds nothing broken. */
async function assertWhole({ store }: KilledStore): Promise<void> {
  for await (const tag of store.tags(IMAGE)) {
    await readSoaked(store.backend, { name: IMAGE, tag })
  }
  for await (const { key, size } of store.backend.list('blobs/sha256/')) {
    const digest = `sha256:${key.slice('blobs/sha256/'.length)}`
    for await (const _ of await store.fetch({ mediaType: 'x', digest, size }));
  }
  await examine(store)
}

async function examine(store: KilledStore['store']): Promise<void> {
  const host = createHost({ plugins: [local] })
  const found = await host.doctor(`local://${store.backend.bucket}//`, { probe: false })
  expect([found.manifest_issues, found.file_issues]).toEqual([undefined, undefined])
}

/** A copy of the template, in which a process is about to work. */
async function prepared(
  { prepare }: Case,
  lives?: Lives,
): Promise<{ readonly killed: KilledStore; readonly task: Work; readonly worker: LineWorker }> {
  const root = await mkdtemp(join(work, 'store-'))
  await cp(template, root, { recursive: true })
  const args = lives ? [String(lives.lifeMs), String(lives.marginMs)] : []
  const worker = new LineWorker('kill-worker.ts', [root, ...args])
  const killed = await KilledStore.open(root, lives)
  const task = await prepare(killed)
  expect(await worker.line()).toBe('ready')
  return { killed, task, worker }
}

/** Milliseconds that a new process needs. */
async function durationOf(each: Case): Promise<number> {
  const { killed, task, worker } = await prepared(each)
  const started = performance.now()
  worker.send(JSON.stringify(task))
  expect(['ok', 'appended']).toContain(await worker.line())
  const duration = performance.now() - started
  await worker.end()
  await rm(killed.store.backend.bucket, { recursive: true })
  return duration
}

describe.each(Object.entries<Case>(CASES))('%s that is killed', (_, each) => {
  it(
    `at ${KILLS} random times leaves every tag whole, and can be done again`,
    async () => {
      const random = randomOf(SEED)
      const duration = await durationOf(each)
      let cut = 0
      for (let round = 0; round < KILLS; round++) {
        const { killed, task, worker } = await prepared(each)
        worker.send(JSON.stringify(task))
        // A little beyond its end, too: where it dies is the point of the test.
        const at = ((round + random()) / KILLS) * duration * 1.1
        const killer = setTimeout(() => worker.process.kill('SIGKILL'), at)
        if ((await worker.line()) === undefined) cut++
        clearTimeout(killer)
        await worker.end()
        await assertWhole(killed)
        await each.repeat(killed, task)
        await examine(killed.store)
        await rm(killed.store.backend.bucket, { recursive: true })
      }
      expect(cut).toBeGreaterThan(KILLS / 10)
    },
    KILLS_TIMEOUT_MS,
  )
})

/** Stops a process for longer than what it has written lives, while a collector runs all the time. */
async function stopOnce(each: Case, at: number): Promise<string> {
  const { killed, task, worker } = await prepared(each, LIVES)
  const { store } = killed
  worker.send(JSON.stringify(task))
  const answer = worker.line()
  const end = new AbortController()
  const collecting = collectUntil(killed, end.signal)
  try {
    await delay(at)
    worker.process.kill('SIGSTOP')
    await delay(LIVES.lifeMs + LIVES.marginMs + 1000)
    worker.process.kill('SIGCONT')
    const outcome = (await answer) ?? 'it has ended'
    if (task.kind === 'finish' && outcome === 'ok') await assertKept(killed, task.digest)
    return outcome
  } finally {
    end.abort()
    await collecting
    await worker.end()
    await assertWhole(killed)
    await rm(store.backend.bucket, { recursive: true })
  }
}

/** A blob that was answered as stored is there while a link says so. */
async function assertKept({ store }: KilledStore, digest: string): Promise<void> {
  const isThere = await store.backend.head(`blobs/${digest.replace(':', '/')}`)
  if (isThere) return
  const links = `.s3lo/links/${IMAGE}/${digest.replace(':', '-')}/`
  for await (const { key, size } of store.backend.list(links)) {
    const end = Number(key.slice(links.length).split('-')[0])
    if (size > 0 && end > Date.now()) throw new Error(`${digest} is gone, which a link keeps`)
  }
}

async function collectUntil({ store }: KilledStore, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A process that was stopped inside of a change of the store keeps others out of it.
    await clean(store, '', CLEAN).catch((error: unknown) => {
      if (!isS3loError(error, 'UNAVAILABLE')) throw error
    })
    await delay(100)
  }
}

describe
  .skipIf(process.platform !== 'linux')
  .each([
    ['a push in chunks'],
    ['the end of an upload in one piece'],
    ['the end of an upload in two pieces'],
  ] as const)('%s that is stopped past its deadlines', (name) => {
  it(`${STOPS} times beside a collector breaks no tag, and loses no blob that was stored`, async () => {
    const each: Case = CASES[name]
    const random = randomOf(SEED)
    const duration = await durationOf(each)
    const outcomes: string[] = []
    while (outcomes.length < STOPS) {
      const stops = Array.from({ length: STOPPED_AT_ONCE }, () =>
        stopOnce(each, random() * duration),
      )
      outcomes.push(...(await Promise.all(stops)))
    }
    const expected = new Set(['ok', 'UNAVAILABLE', 'FORBIDDEN', 'NOT_FOUND'])
    expect(outcomes.filter((outcome) => !expected.has(outcome))).toEqual([])
  })
})

describe('two processes that append at one offset', () => {
  it(`${RACES} times: exactly one wins each time, and the blob has its bytes`, async () => {
    const root = await mkdtemp(join(work, 'store-'))
    const killed = await KilledStore.open(root)
    const upload = await begun(killed, [])
    const workers = [0, 1].map(() => new LineWorker('kill-worker.ts', [root]))
    const won: Piece[] = []
    try {
      for (const worker of workers) expect(await worker.line()).toBe('ready')
      for (let round = 0; round < RACES; round++) {
        const pieces = workers.map((_, n) => {
          const text = `process ${n} in round ${round};`
          return { offset: won.length * RACE_BYTES, size: RACE_BYTES, text }
        })
        for (const [n, worker] of workers.entries()) {
          worker.send(JSON.stringify({ kind: 'append', upload, piece: pieces[n] }))
        }
        const answers = await Promise.all(workers.map((worker) => worker.line()))
        expect(new Set(answers)).toEqual(new Set(['appended', 'out-of-order']))
        won.push(...pieces.filter((_, n) => answers[n] === 'appended'))
      }
    } finally {
      await Promise.all(workers.map((worker) => worker.end()))
    }
    await finished(killed, upload, Buffer.concat(won.map(contentOf)))
    await rm(root, { recursive: true })
  })
})
