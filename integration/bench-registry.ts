/**
 * `node integration/bench-registry.ts`: a copy of a 1 GiB image from a registry to an OCI layout,
 * beside `skopeo copy` of the same image, in turn (A B A B). Prints one table and writes
 * bench-registry-results.json; exits with 1 when a bar is missed.
 *
 * Needs skopeo, 6 GB of disk and S3LO_TEST_REGISTRY_OPEN (integration/start-registry.sh).
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBigArchive } from './big-archive.ts'

const BIN = join(import.meta.dirname, '../apps/cli/dist/main.js')
const PROBE = join(import.meta.dirname, 'bench-probe.mjs')
const ROUNDS = Number(process.env['S3LO_BENCH_ROUNDS'] ?? 5)
const LAYERS = 12
const MIB = 1024 * 1024
const MAX_RATIO = 1.1
const MAX_RSS_MB = 150

interface Round {
  readonly ours: number
  readonly theirs: number
  readonly rssMb: number
}

const registry = process.env['S3LO_TEST_REGISTRY_OPEN']
if (!registry) throw new Error('no registry: eval "$(integration/start-registry.sh)"')
const work = mkdtempSync(join(tmpdir(), 's3lo-bench-'))
try {
  process.exitCode = await main(`${registry}/bench/gzip:v1`)
} finally {
  rmSync(work, { recursive: true, force: true })
}

async function main(image: string): Promise<number> {
  const layerBytes = Math.round((1024 * MIB) / LAYERS)
  const archive = join(work, 'big.tar')
  await writeBigArchive(archive, { layerCount: LAYERS, layerBytes, name: 'bench/big:v1' })
  // With layers that are compressed already: skopeo would compress others on the way to a layout.
  const flags = ['--quiet', '--format', 'oci', '--dest-tls-verify=false']
  run('skopeo', ['copy', ...flags, `docker-archive:${archive}`, `docker://${image}`])
  rmSync(archive)
  const rounds: Round[] = []
  for (let i = 0; i <= ROUNDS; i++) {
    const round = { ...ours(image), theirs: theirs(image) }
    console.error(
      `${round.ours.toFixed(2)} s, ${round.rssMb} MB; skopeo ${round.theirs.toFixed(2)} s`,
    )
    if (i > 0) rounds.push(round) // The first warms the caches.
  }
  return report(rounds)
}

function ours(image: string): Pick<Round, 'ours' | 'rssMb'> {
  const layout = join(work, 'ours')
  const probe = join(work, 'probe.json')
  const args = ['--import', PROBE, BIN, 'copy', image, `oci:${layout}:v1`, '--quiet']
  const seconds = run(process.execPath, args, { S3LO_BENCH_PROBE: probe })
  rmSync(layout, { recursive: true })
  const { rssMb } = JSON.parse(readFileSync(probe, 'utf8')) as { readonly rssMb: number }
  return { ours: seconds, rssMb: Math.round(rssMb) }
}

function theirs(image: string): number {
  const layout = join(work, 'theirs')
  const args = [
    'copy',
    '--quiet',
    '--preserve-digests',
    '--src-tls-verify=false',
    `docker://${image}`,
    `oci:${layout}:v1`,
  ]
  const seconds = run('skopeo', args)
  rmSync(layout, { recursive: true })
  return seconds
}

/** Runs a program to its end and gives the seconds that it took, with what it wrote on disk. */
function run(command: string, args: readonly string[], env: Record<string, string> = {}): number {
  const start = performance.now()
  const { status, stderr, error } = spawnSync(command, args, { env: { ...process.env, ...env } })
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')}: ${stderr.toString()}`)
  return (performance.now() - start) / 1000
}

function report(rounds: readonly Round[]): number {
  const result = {
    ours_s: median(rounds.map((round) => round.ours)),
    skopeo_s: median(rounds.map(({ theirs: seconds }) => seconds)),
    ratio: median(rounds.map((round) => round.ours / round.theirs)),
    max_ratio: MAX_RATIO,
    rss_mb: Math.max(...rounds.map(({ rssMb }) => rssMb)),
    max_rss_mb: MAX_RSS_MB,
  }
  console.table(result)
  writeFileSync('bench-registry-results.json', `${JSON.stringify(result, null, 2)}\n`)
  return result.ratio <= MAX_RATIO && result.rss_mb <= MAX_RSS_MB ? 0 : 1
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
