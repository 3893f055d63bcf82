import { forEachConcurrent, type StorageBackend } from '@s3lo/core'
import { imageFixture } from '@s3lo/core/testing'
import { type CloudStore, referenceIn } from './cloud-stores.ts'
import { LoopbackProxy } from './loopback-proxy.ts'
import { type Environment, type Outcome } from './source-cli.ts'

const WRITES_AT_ONCE = 32
const TAGS_PER_IMAGE = 50
/** What a listing gives at once at every service. */
const PAGE = 1000

/** What a list of many tags cost. */
export interface ListCost {
  readonly lines: readonly string[]
  /** Requests that are no listing. */
  readonly reads: number
  readonly requests: number
  /** The most requests that it may take. */
  readonly bar: number
}

/**
 * Writes `count` tags, every second image nested, and one tag of layout v1.0.0. Gives their names in
 * the order of `list`.
 */
export async function writeManyTags(
  backend: StorageBackend,
  count: number,
): Promise<readonly string[]> {
  const { content } = imageFixture({ layers: ['one'] }).root
  const tags = Array.from({ length: count }, (_, index) => {
    const image = `app${String(Math.floor(index / TAGS_PER_IMAGE)).padStart(4, '0')}`
    const isNested = Math.floor(index / TAGS_PER_IMAGE) % 2 === 1
    return { image: isNested ? `team/${image}` : image, tag: `v${index % TAGS_PER_IMAGE}` }
  })
  await forEachConcurrent(tags, WRITES_AT_ONCE, async ({ image, tag }) => {
    await backend.put(`manifests/${image}/${tag}/manifest.json`, content)
  })
  await backend.put('legacy/v1/config.json', content)
  await backend.put('legacy/v1/manifest.json', content)
  return [...tags.map(({ image, tag }) => `${image}:${tag}`), 'legacy:v1'].toSorted()
}

/** Runs `s3lo list` through a proxy that counts; `run` is the command line. */
export async function costOfList(
  store: CloudStore,
  bucket: string,
  {
    objects,
    run,
  }: {
    /** How many objects there are below `manifests/`. */
    readonly objects: number
    readonly run: (args: readonly string[], env: Environment) => Promise<Outcome>
  },
): Promise<ListCost> {
  if (store.endpoint === undefined) throw new Error(`${store.name} has no requests`)
  const proxy = await LoopbackProxy.start(store.endpoint)
  try {
    const { status, stdout, stderr } = await run(
      ['list', referenceIn(store, bucket)],
      store.env(proxy.url),
    )
    if (status !== 0) throw new Error(`s3lo list: ${status}, ${stderr}`)
    const isList = ({ method, url }: { method: string; url: string }): boolean =>
      method === 'GET' && /list-type=2|comp=list|\/o\?/.test(url)
    return {
      lines: stdout.trimEnd().split('\n').toSorted(),
      reads: proxy.passed.filter((request) => !isList(request)).length,
      requests: proxy.passed.length,
      bar: Math.ceil(objects / PAGE) + 3,
    }
  } finally {
    await proxy.close()
  }
}
