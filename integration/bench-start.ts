import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.cjs')
/** Runs of each case and of the yardstick, in turn. */
const ROUNDS = 9

/** What starting a command costs, beside a Node program that does nothing. */
export interface StartRow {
  readonly name: string
  readonly ours_s: number
  readonly node_s: number
  readonly ratio: number
  readonly bar: number
  /** User and system time of the process. */
  readonly cpu_s: number
  readonly node_cpu_s: number
  /** Files of JavaScript and JSON that were opened; absent without strace. */
  readonly files?: number
}

interface Start {
  readonly name: string
  readonly bar: number
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/**
 * The start rows. With S3LO_TEST_S3_ENDPOINT, S3LO_TEST_S3_KEY and S3LO_TEST_S3_SECRET, and a store in
 * S3LO_BENCH_S3_STORE (`s3://bucket/`), that of a small store in S3 as well.
 */
export function benchStart(work: string): readonly StartRow[] {
  const store = join(work, 'start')
  for (let i = 0; i < 10; i++) {
    mkdirSync(join(store, `manifests/app/v${i}`), { recursive: true })
    writeFileSync(join(store, `manifests/app/v${i}/manifest.json`), '{}')
  }
  const starts: Start[] = [
    { name: 's3lo --version', bar: 1.3, args: ['--version'] },
    { name: 's3lo list, 10 local tags', bar: 2, args: ['list', `local://${store}//`] },
    ...startsOfS3(),
  ]
  return starts.map((start) => measure(start, work))
}

function startsOfS3(): readonly Start[] {
  const { S3LO_TEST_S3_ENDPOINT, S3LO_TEST_S3_KEY, S3LO_TEST_S3_SECRET, S3LO_BENCH_S3_STORE } =
    process.env
  if (!S3LO_TEST_S3_ENDPOINT || !S3LO_TEST_S3_KEY || !S3LO_TEST_S3_SECRET || !S3LO_BENCH_S3_STORE) {
    return []
  }
  return [
    {
      name: 's3lo list, a small store in S3',
      bar: 3.5,
      args: ['list', S3LO_BENCH_S3_STORE, '--endpoint', S3LO_TEST_S3_ENDPOINT],
      env: {
        AWS_ACCESS_KEY_ID: S3LO_TEST_S3_KEY,
        AWS_SECRET_ACCESS_KEY: S3LO_TEST_S3_SECRET,
        AWS_REGION: 'us-east-1',
        S3LO_PLUGIN_PATH: import.meta.dirname,
      },
    },
  ]
}

function measure({ name, bar, args, env = {} }: Start, work: string): StartRow {
  const ours = [BIN, ...args]
  run(ours, env) // The first compiles what the others find compiled.
  const pairs = Array.from({ length: ROUNDS }, () => ({ a: run(ours, env), b: run(['-e', '0']) }))
  const files = filesOpened(ours, env, join(work, 'opened'))
  return {
    name,
    ours_s: median(pairs.map(({ a }) => a.seconds)),
    node_s: median(pairs.map(({ b }) => b.seconds)),
    ratio: median(pairs.map(({ a, b }) => a.seconds / b.seconds)),
    bar,
    cpu_s: median(pairs.map(({ a }) => a.cpu)),
    node_cpu_s: median(pairs.map(({ b }) => b.cpu)),
    ...(files === undefined ? {} : { files }),
  }
}

/** Wall and CPU time of a Node process, by the shell: to the millisecond, as the kernel counts it. */
function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { readonly seconds: number; readonly cpu: number } {
  const command = [
    '-c',
    'TIMEFORMAT="%3R %3U %3S"; time "$@" > /dev/null',
    'bash',
    process.execPath,
  ]
  const { status, stderr } = spawnSync('bash', [...command, ...args], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${args.join(' ')} failed: ${stderr}`)
  const [seconds = 0, user = 0, system = 0] = (stderr.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number)
  return { seconds, cpu: user + system }
}

/** How many files of code a process opens. */
function filesOpened(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  trace: string,
): number | undefined {
  const strace = ['-f', '-qq', '-e', 'trace=openat', '-o', trace, process.execPath]
  const { error } = spawnSync('strace', [...strace, ...args], { env: { ...process.env, ...env } })
  if (error) return undefined
  const opened = readFileSync(trace, 'utf8').matchAll(/"(?<path>[^"]+\.(?:c?js|json))".* = \d/g)
  return new Set([...opened].map(({ groups }) => groups?.['path'])).size
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

export function printStarts(starts: readonly StartRow[]): void {
  if (starts.length === 0) return
  const table = starts.map((row) => ({
    start: row.name,
    'ours (s)': row.ours_s.toFixed(3),
    'node -e 0 (s)': row.node_s.toFixed(3),
    ratio: row.ratio.toFixed(2),
    bar: row.bar,
    ok: row.ratio <= row.bar ? 'yes' : 'NO',
    'CPU (s)': row.cpu_s.toFixed(3),
    'CPU of node -e 0 (s)': row.node_cpu_s.toFixed(3),
    'files opened': row.files ?? '',
  }))
  console.table(table)
}
