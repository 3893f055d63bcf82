/**
 * Stores as registries, by processes of `s3lo serve`: all that the specification asks for. The gate
 * runs a pairwise choice of the ways to serve, S3LO_TEST_NIGHTLY the whole product of them.
 */
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CheckResult, runConformance } from '@s3lo/registry-conformance'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cloudStores, referenceIn, removeBucket } from './cloud-stores.ts'
import { combinationsOf, pairwise } from './pairwise.ts'
import { Replicas } from './serve-replicas.ts'
import { SourceCli } from './source-cli.ts'

/** As `htpasswd -nbB -C 5 alice secret` printed it. */
const HASH = '$2y$05$3KxkwNZVY28NED/.oCn.3.UZTo8LbEVbFcwM/5OwyYPUzWcd739ES'
const CREDENTIALS = { username: 'alice', password: 'secret' }
const CONFIG = `
users: { htpasswd: htpasswd }
signing_key: { file: token.key }
access:
  - { repositories: '**', who: alice, may: [pull, push, delete, catalog] }
`

const work = await mkdtemp(join(tmpdir(), 's3lo-serve-conformance-'))
let cli: SourceCli
beforeAll(async () => {
  await mkdir(join(work, 'home'))
  await writeFile(join(work, 'serve.yaml'), CONFIG)
  await writeFile(join(work, 'htpasswd'), `alice:${HASH}\n`)
  // The replicas take each other's tokens.
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeFile(join(work, 'token.key'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
  cli = await SourceCli.open(work)
})
afterAll(() => rm(work, { recursive: true }))

// A store without create-only writes keeps an upload in one process.
const stores = new Map(
  cloudStores(work)
    .filter(({ isStrict }) => isStrict)
    .map((store) => [store.name, store]),
)
const product = combinationsOf({
  store: [...stores.keys()],
  /** Whether clients are sent to the store for blobs. */
  redirect: ['always', 'never'],
  replicas: [1, 3],
  access: ['open', 'tokens'],
}).filter(({ store, redirect }) => store !== 'local' || redirect === 'never')

type Way = (typeof product)[number]

/** Azurite looks at all that it has for every request, so that one run takes it many minutes. */
const isNightly = process.env['S3LO_TEST_NIGHTLY'] !== undefined
const AZURITE_MS = 3_600_000
const ways = isNightly ? product : pairwise(product.filter(({ store }) => store !== 'az'))

// A way sends one request after the other: several at once keep the processors busy.
describe.concurrent('a store, as a registry', () => {
  it.each(ways.map((way) => [titleOf(way), way] as const))(
    '%s: does all that the specification asks for',
    { timeout: AZURITE_MS },
    async (title, way) => {
      const started = performance.now()
      const results = await checksOf(way)
      const count = (outcome: CheckResult['outcome']): number =>
        results.filter((result) => result.outcome === outcome).length
      const seconds = ((performance.now() - started) / 1000).toFixed(0)
      process.stderr.write(
        `conformance: ${title}: ${count('passed')} passed, ${count('failed')} failed, ` +
          `${count('skipped')} skipped in ${seconds} s\n`,
      )
      expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([])
      expect(count('passed')).toBeGreaterThan(1500)
    },
  )
})

function titleOf({ store, redirect, replicas, access }: Way): string {
  return `${store}, ${redirect === 'always' ? 'redirects' : 'streams'}, ${replicas} replica(s), ${access}`
}

/** Serves a new bucket in one of the ways. */
async function checksOf({ store: name, redirect, replicas, access }: Way): Promise<CheckResult[]> {
  const store = stores.get(name)
  if (!store) throw new Error(`expected a store, got none of the name ${name}`)
  const bucket = await store.makeBucket()
  const hasTokens = access === 'tokens'
  const args = ['serve', referenceIn(store, bucket), '--listen', '127.0.0.1:0', '--drain', '0s']
    .concat(['--redirect', redirect])
    .concat(hasTokens ? ['--config', 'serve.yaml'] : [])
  const results: CheckResult[] = []
  {
    await using served = await Replicas.start(() => cli.spawn(args, store.env()), replicas)
    const url = `http://${served.address}`
    const registry = {
      url,
      version: 'dev',
      ...(hasTokens && { credentials: CREDENTIALS }),
    } as const
    for await (const result of runConformance(registry)) results.push(result)
  }
  await removeBucket(store, bucket)
  return results
}
