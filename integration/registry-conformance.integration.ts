/**
 * The conformance suite against registries that others wrote (integration/start-registry.sh): what they do
 * must pass, and what they do not do must fail, each with the reason that is known.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type CheckResult,
  type Feature,
  type RegistryUnderTest,
  runConformance,
} from '@s3lo/registry-conformance'
import { describe, expect, it } from 'vitest'
import { requiredRegistries, type Registries } from './required.ts'

const registries = requiredRegistries()
if (registries === undefined) it.skip('registries are not there', () => {})
else describe('docker-registry 2.8', () => testAgainst(registries))

/** What it lacks altogether. */
const WITHOUT: readonly Feature[] = [
  'sha512', // Keeps such blobs under sha256, and says so.
  'referrers', // Is of version 1.0.
  'resume', // Its sessions sign the offset, which a chunk that is cut off advances.
  'one-writer', // Takes both chunks.
  'tag-pages', // Lists tags as the file system does; `n` and `last` are new in its version 3.
]

/** What fails: by case, the beginnings of the checks. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  // The file of a bad digest has no path, which is an error of the driver.
  'pull/a manifest of a bad digest': ['GET is', 'HEAD is'],
  'push manifests/a manifest with a bad digest': ['PUT is'],
  'push manifests/a manifest with a layer whose digest is a path': ['PUT is'],
  // It says 416 under the length of the blob, and closes.
  'pull/ranges of a blob': ['bytes=5000-', 'bytes=2048-', 'bytes=500-0', 'a range of another unit'],
  // A client that does not name them gets no OCI manifests.
  'pull/manifests under every Accept': [
    'GET by tag with nothing',
    'GET by digest with nothing',
    'GET by tag with anything',
    'GET by digest with anything',
  ],
  // It does not look at Content-Range.
  ...Object.fromEntries(
    [
      'out of order',
      'out of order, the last by PUT',
      'sent twice',
      'sent twice, the last by PUT',
    ].map((how, at) => [
      `push chunks/sha256 chunks ${how}`,
      [at < 2 ? 'chunk 2 in' : 'chunk 1 in'],
    ]),
  ),
  ...Object.fromEntries(
    [
      'bytes 0-1023/1024, which is no range',
      '0-, which is no range',
      '-1023, which is no range',
      'a-b, which is no range',
      '1023-0, which is no range',
      '0-1023-5, which is no range',
      '0x0-0x3ff, which is no range',
      '0-1022, which is shorter than the chunk',
      '0-1024, which is longer than the chunk',
    ].map((range) => [`push refused/a chunk with the range ${range}`, ['it is', 'GET says']]),
  ),
  // Go reads the next request after one with two ends, which RFC 9112 forbids.
  'hostile/a request with a length and chunks': ['it is refused once'],
  // The file system refuses the name, not the registry.
  'hostile/headers and paths without end': ['a name of 8,000'],
  // Go reads such bytes as U+FFFD.
  'hostile/a manifest of bytes that are no UTF-8': ['it is refused'],
}

function testAgainst(servers: Registries): void {
  it('passes all but what is known', async () => {
    const results = await run({ url: `http://${servers.open}`, without: WITHOUT })
    expectKnown(results)
    expect(results.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(400)
  })

  it('skips deletes where they are turned off', async () => {
    await withoutDeletes(async (url) => {
      const results = await run({ url, without: WITHOUT }, [
        'management/',
        'data/image',
        'push blobs/',
      ])
      expectKnown(results)
      const reasons = results.filter(
        ({ outcome, reason = '' }) =>
          outcome === 'skipped' && /^lacks (tag|manifest|blob)-delete: DELETE is/.test(reason),
      )
      expect(reasons.length).toBeGreaterThan(10)
    })
  })

  it('passes with Basic, with tokens and over TLS', async () => {
    const credentials = { username: servers.user, password: servers.password }
    const ca = await readFile(servers.ca, 'utf8')
    for (const url of [
      `http://${servers.htpasswd}`,
      `http://${servers.token}`,
      `https://${servers.tls}`,
    ]) {
      // It hashes the password for each request, which takes a while for all cases.
      const only = ['auth/', 'data/', 'push blobs/sha256']
      const results = await run({ url, without: WITHOUT, credentials, ca }, only)
      expectKnown(results)
      const isAuth = ({ caseName, outcome }: CheckResult): boolean =>
        caseName.startsWith('auth/') && outcome === 'passed'
      expect(results.filter(isAuth).length).toBeGreaterThan(40)
    }
  })
}

async function run(
  registry: RegistryUnderTest,
  only?: readonly string[],
): Promise<readonly CheckResult[]> {
  return Array.fromAsync(runConformance(registry, only))
}

/** Each failure is known, and each known failure of the cases that ran is there. */
function expectKnown(results: readonly CheckResult[]): void {
  const failed = results.filter(({ outcome }) => outcome === 'failed')
  const isKnown = ({ caseName, name }: CheckResult): boolean =>
    KNOWN[caseName]?.some((text) => name.startsWith(text)) === true
  expect(failed.filter((result) => !isKnown(result))).toEqual([])
  const ran = new Set(results.map(({ caseName }) => caseName))
  const expected = Object.entries(KNOWN)
    .filter(([caseName]) => ran.has(caseName))
    .flatMap(([caseName, texts]) => texts.map((text) => ({ caseName, text })))
  const passes = expected.filter(
    ({ caseName, text }) =>
      !failed.some((result) => result.caseName === caseName && result.name.startsWith(text)),
  )
  expect(passes).toEqual([])
}

/** Runs a registry that deletes nothing, while `use` runs. */
async function withoutDeletes(use: (url: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 's3lo-no-deletes-'))
  const config = join(folder, 'config.yml')
  await writeFile(
    config,
    `version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: ${join(folder, 'data')}}}
http: {addr: '127.0.0.1:0'}
`,
  )
  const env = { ...process.env, OTEL_TRACES_EXPORTER: 'none' }
  const server = spawn('docker-registry', ['serve', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  })
  try {
    await use(`http://${await addressOf(server)}`)
  } finally {
    server.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}

/** Where it listens, which its log says. */
async function addressOf({ stderr }: ChildProcess): Promise<string> {
  if (stderr === null) throw new Error('expected a log, got none')
  for await (const line of createInterface({ input: stderr })) {
    const [, address] = /listening on (127\.0\.0\.1:\d+)/.exec(line) ?? []
    if (address === undefined) continue
    stderr.resume()
    return address
  }
  throw new Error('expected the registry to listen, got the end of its log')
}
