import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalBackend } from '@s3lo/backend-local'
import { createHost, type Host } from '@s3lo/core'
import { writeBigStore } from './big-store.ts'

/** What one run of a command took. */
export interface StoreSample {
  readonly seconds: number
  /** Peak resident set of the process (MB). */
  readonly rssMb?: number
}

/** A command on a store of 10 000 tags, 10 000 digest records and 100 000 blobs. */
export interface StoreRow {
  readonly name: string
  /** Median, as all times here. */
  readonly seconds: number
  /** What it is measured against: a command of the shell, or one of the commands before it. */
  readonly yardstick: string
  readonly yardstick_s: number
  /** What the project promises, as a multiple of the yardstick. */
  readonly bar: number
  readonly rss_mb: number
  /** What the project promises (MB). */
  readonly rss_bar_mb: number
  /** Calls of the backend; a listing of any length counts as one. */
  readonly requests: number
}

/** The peak of memory that commands on a large store keep below (MB). */
const RSS_BAR_MB = 120

/** The names of all tags. */
const FIND = 'find . -name manifest.json'
/** Every object with its size, and what is in every manifest. */
const FIND_AND_READ =
  "find . -printf '%s %p\\n'; find manifests .s3lo/repositories -name '*.json' ! -name history.json -exec cat {} +"

interface StoreCase {
  readonly name: string
  readonly yardstick: { readonly shell: string } | { readonly command: string }
  readonly bar: number
  readonly args: (store: string) => readonly string[]
  readonly operation: (host: Host, store: string) => Promise<unknown>
}

const CASES: readonly StoreCase[] = [
  {
    name: 'list',
    yardstick: { shell: FIND },
    bar: 1.5,
    args: (store) => ['list', store],
    operation: (host, store) => host.list(store),
  },
  {
    name: 'stats',
    yardstick: { shell: FIND_AND_READ },
    bar: 3,
    args: (store) => ['stats', store],
    operation: (host, store) => host.stats(store),
  },
  {
    name: 'doctor',
    yardstick: { shell: FIND_AND_READ },
    bar: 3,
    args: (store) => ['doctor', store],
    operation: (host, store) => host.doctor(store),
  },
  {
    name: 'clean (dry)',
    yardstick: { command: 'stats' },
    bar: 1.5,
    args: (store) => ['clean', store],
    operation: (host, store) => host.clean(store),
  },
]

/** Runs each command on a large store, in turn with its yardstick, and once more to count requests. */
export async function benchStore(
  run: (args: readonly string[]) => StoreSample,
  rounds: number,
): Promise<readonly StoreRow[]> {
  const work = mkdtempSync(join(tmpdir(), 's3lo-bench-store-'))
  try {
    const root = join(work, 'store')
    writeBigStore(root, { tags: 10_000, images: 100, blobsPerTag: 9, untagged: 10_000 })
    const store = `local://${root}//`
    const rows: StoreRow[] = []
    for (const each of CASES) {
      const timed = timeCase(each, root, run, rounds)
      const requests = await countRequests((host) => each.operation(host, store))
      const name = `${each.name} of 10 000 tags, 10 000 records, 100 000 blobs`
      rows.push({ ...timed, name, bar: each.bar, rss_bar_mb: RSS_BAR_MB, requests })
    }
    return rows
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

type Timed = Pick<StoreRow, 'seconds' | 'yardstick' | 'yardstick_s' | 'rss_mb'>

/** The first round warms the caches, and is not counted. */
function timeCase(
  { args, yardstick }: StoreCase,
  root: string,
  run: (args: readonly string[]) => StoreSample,
  rounds: number,
): Timed {
  const store = `local://${root}//`
  const samples: StoreSample[] = []
  const yardsticks: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const besides =
      'shell' in yardstick
        ? timeShell(yardstick.shell, root)
        : run([yardstick.command, store]).seconds
    const sample = run(args(store))
    if (round === 0) continue
    samples.push(sample)
    yardsticks.push(besides)
  }
  return {
    seconds: median(samples.map(({ seconds }) => seconds)),
    yardstick: 'shell' in yardstick ? yardstick.shell : yardstick.command,
    yardstick_s: median(yardsticks),
    rss_mb: Math.max(...samples.map(({ rssMb = Number.NaN }) => rssMb)),
  }
}

function timeShell(command: string, cwd: string): number {
  const start = performance.now()
  const { status } = spawnSync('bash', ['-c', `{ ${command}; } >/dev/null`], { cwd })
  if (status !== 0) throw new Error(`${command} failed`)
  return (performance.now() - start) / 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** Counts calls of the backend by an operation of a host. */
async function countRequests(operation: (host: Host) => Promise<unknown>): Promise<number> {
  let requests = 0
  const counted = (backend: LocalBackend): LocalBackend =>
    new Proxy(backend, {
      get(target, property) {
        const member: unknown = Reflect.get(target, property, target)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]): unknown => {
          requests++
          return Reflect.apply(member, target, args)
        }
      },
    })
  const openBackend = ({ bucket }: { readonly bucket: string }): Promise<LocalBackend> =>
    Promise.resolve(counted(new LocalBackend(bucket)))
  const load = () => Promise.resolve({ openBackend })
  const backends = { local: { summary: 'a directory, counted', load } }
  await operation(createHost({ plugins: [{ name: 'counted', apiVersion: 1, backends }] }))
  return requests
}
