import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
const PROBE = join(import.meta.dirname, 'bench-probe.cjs')

/** What one process and its children cost. */
export interface Cost {
  readonly seconds: number
  /** User and system time (seconds). */
  readonly cpu: number
  /** Peak resident set (MB); only of ours. */
  readonly rssMb?: number
}

/** A command that takes part in a comparison. */
export interface Contender {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>> | undefined
  /** Where the probe writes what it saw; only of ours. */
  readonly probe?: string | undefined
  /** Runs before each round, unmeasured. */
  readonly before?: (() => void) | undefined
}

/** One case of a comparison: the medians of all rounds. */
export interface PeerRow {
  readonly name: string
  readonly ours: Cost
  /** By name of the peer. */
  readonly peers: Readonly<Record<string, Cost>>
  /** The seconds that the project promises for this case, by what the peers took. */
  readonly allowed_s: number
  /** The same of CPU seconds, where it promises any. */
  readonly allowed_cpu_s?: number | undefined
  readonly rss_bar_mb?: number | undefined
  /** HTTP requests of one run; absent where none can be counted. */
  readonly requests?: number | undefined
  /** Files that are opened in one run; absent without strace. */
  readonly files?: number | undefined
}

/** The command line program as a contender; `work` is a folder for what is measured. */
export function s3lo(
  work: string,
  args: readonly string[],
  options: Partial<Contender> = {},
): Contender {
  const probe = join(work, 'probe.json')
  return {
    name: 's3lo',
    command: [process.execPath, '--require', PROBE, BIN, ...args, '--quiet'],
    probe,
    ...options,
    env: { ...options.env, S3LO_BENCH_PROBE: probe },
  }
}

/** The commands in turn (A B C A B C), so that a machine whose speed drifts slows each; the medians. */
export function race(
  contenders: readonly Contender[],
  rounds: number,
): Readonly<Record<string, Cost>> {
  const costs = new Map<string, Cost[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const contender of contenders) {
      contender.before?.()
      const cost = run(contender)
      if (round > 0) costs.get(contender.name)?.push(cost) // The first warms the caches.
    }
  }
  return Object.fromEntries([...costs].map(([name, all]) => [name, medianCost(all)]))
}

/** Runs a command to its end. Wall and CPU time are the shell's: to the millisecond. */
export function run({ command, env = {}, probe }: Omit<Contender, 'name'>): Cost {
  const shell = 'TIMEFORMAT="%3R %3U %3S"; time "$@" > /dev/null'
  const { status, stderr } = spawnSync('bash', ['-c', shell, 'bash', ...command], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${command.join(' ')} failed: ${stderr}`)
  const times = (stderr.trim().split('\n').at(-1) ?? '').split(' ').map(Number)
  const [seconds = Number.NaN, user = Number.NaN, system = Number.NaN] = times
  const cost = { seconds, cpu: user + system }
  if (probe === undefined) return cost
  const { rssMb } = JSON.parse(readFileSync(probe, 'utf8')) as { readonly rssMb: number }
  return { ...cost, rssMb }
}

/** How many files a command opens; `undefined` without strace. */
export function filesOpened(
  { command, env = {}, before }: Contender,
  work: string,
): number | undefined {
  const trace = join(work, 'opened')
  before?.()
  const strace = ['-f', '-qq', '--seccomp-bpf', '-e', 'trace=openat', '-o', trace, ...command]
  const { error } = spawnSync('strace', strace, { env: { ...process.env, ...env } })
  if (error) return undefined
  const opened = readFileSync(trace, 'utf8').match(/openat\(.* = \d+$/gm)?.length
  rmSync(trace)
  return opened
}

/** The median of each figure, and the peak of memory. */
export function medianCost(costs: readonly Cost[]): Cost {
  const of = (read: (cost: Cost) => number): number => median(costs.map(read))
  const rss = costs.map(({ rssMb }) => rssMb).filter((value) => value !== undefined)
  return {
    seconds: of(({ seconds }) => seconds),
    cpu: of(({ cpu }) => cpu),
    ...(rss.length > 0 ? { rssMb: Math.max(...rss) } : {}),
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

/** Prints one table: a column of seconds and of CPU seconds for each peer that took part. */
export function printPeers(title: string, rows: readonly PeerRow[]): void {
  if (rows.length === 0) return
  const names = [...new Set(rows.flatMap(({ peers }) => Object.keys(peers)))]
  const table = rows.map((row) => ({
    [title]: row.name,
    'ours (s)': row.ours.seconds.toFixed(3),
    'allowed (s)': row.allowed_s.toFixed(3),
    ok: isKept(row) ? 'yes' : 'NO',
    'CPU (s)': row.ours.cpu.toFixed(2),
    'allowed CPU': row.allowed_cpu_s?.toFixed(2) ?? '',
    ...Object.fromEntries(names.map((name) => [name, shown(row.peers[name])])),
    'RSS (MB)': row.ours.rssMb?.toFixed(0) ?? '',
    requests: row.requests ?? '',
    files: row.files ?? '',
  }))
  console.table(table)
}

/** Seconds, and CPU seconds behind a slash. */
function shown(cost: Cost | undefined): string {
  return cost ? `${cost.seconds.toFixed(3)} / ${cost.cpu.toFixed(2)}` : ''
}

function isKept({ ours, allowed_s, allowed_cpu_s, rss_bar_mb }: PeerRow): boolean {
  return (
    ours.seconds <= allowed_s &&
    ours.cpu <= (allowed_cpu_s ?? Infinity) &&
    (ours.rssMb ?? 0) <= (rss_bar_mb ?? Infinity)
  )
}
