import {
  copy,
  deleteTag,
  ImageStore,
  isS3loError,
  type Reference,
  restore,
  type StorageBackend,
} from '@s3lo/core'
import {
  FAULT_KINDS,
  type FaultKind,
  type FaultProxy,
  FixtureSource,
  type ImageFixture,
  imageFixture,
  indexFixture,
  MemoryBackend,
} from '@s3lo/core/testing'
import { type FaultExtent, spoil, spoilingsOf, titleOf } from './spoilings.ts'

/** What the matrix is run on. */
export interface FaultMatrixOptions {
  /** In front of the service. */
  readonly proxy: FaultProxy
  /** The bucket through the proxy. Must not wait between attempts, and give silence up soon. */
  readonly through: StorageBackend
  /** The same bucket without the proxy. */
  readonly direct: StorageBackend
  /** Default: all of them. */
  readonly kinds?: readonly FaultKind[] | undefined
  /** Default: `product`. */
  readonly extent?: FaultExtent | undefined
}

/** What one operation went through. */
export interface FaultMatrixRow {
  /** Requests of the operation when nothing fails. */
  readonly requests: number
  /** Spoiled runs. */
  readonly runs: number
  /** Of these, the ones that succeeded all the same; the others ended in one error each. */
  readonly succeeded: number
}

/** Bytes of the one layer that is sent in several parts when parts are smaller. */
const LARGE_LAYER_BYTES = 300_000

/**
 * Spoils every request of an operation, one at a time and then all from one on, as far as the extent
 * says. Each run has to end in success or one clear error, to leave no tag that lacks something and no blob
 * that is not what its name says, and to succeed when it is run again. Throws for a run that did
 * not.
 */
export async function runFaultMatrix(
  operation: FaultOperation,
  options: FaultMatrixOptions,
): Promise<FaultMatrixRow> {
  const row = await runOperation(OPERATIONS[operation], options)
  await assertBlobsAreWhole(new ImageStore(options.direct))
  return row
}

interface Operation {
  readonly name: string
  /** What the bucket holds before. */
  readonly prepare: (direct: ImageStore, run: Run) => Promise<void>
  readonly act: (store: ImageStore, run: Run) => Promise<void>
  /** The tags that are there in the end. */
  readonly published: (run: Run) => readonly Reference[]
  readonly removed: (run: Run) => readonly Reference[]
  /** What is pullable by its digest at any moment, with a tag or without. */
  readonly kept: (run: Run) => readonly Reference[]
}

/** One run: its image is like no other run's, so that no run finds what another one left. */
interface Run {
  readonly image: ImageFixture
  /** Another one, of the same repository. */
  readonly other: ImageFixture
  readonly from: Reference
  readonly to: Reference
}

export type FaultOperation = (typeof FAULT_OPERATIONS)[number]

/** What the matrix is run for. */
export const FAULT_OPERATIONS = [
  'push',
  'move',
  'pull',
  'copy',
  'delete',
  'restore',
  'list',
] as const

const OPERATIONS: Readonly<Record<FaultOperation, Operation>> = {
  push: {
    name: 'push',
    prepare: () => Promise.resolve(),
    act: (store, run) => pushTo(store, run, run.from),
    published: ({ from }) => [from],
    removed: () => [],
    kept: () => [],
  },
  move: {
    name: 'move',
    prepare: (direct, run) => pushTo(direct, run, run.from),
    act: (store, { other, from }) => pushTo(store, { image: other }, from),
    published: ({ from }) => [from],
    removed: () => [],
    kept: byDigest,
  },
  pull: {
    name: 'pull',
    prepare: (direct, run) => pushTo(direct, run, run.from),
    act: async (store, { from }) => {
      const target = new ImageStore(new MemoryBackend())
      await copy({ source: store, reference: from }, { target, reference: from })
      await assertWhole(target, from)
    },
    published: ({ from }) => [from],
    removed: () => [],
    kept: () => [],
  },
  copy: {
    name: 'copy',
    prepare: (direct, run) => pushTo(direct, run, run.from),
    act: async (store, { from, to }) => {
      await copy({ source: store, reference: from }, { target: store, reference: to })
    },
    published: ({ from, to }) => [from, to],
    removed: () => [],
    kept: () => [],
  },
  delete: {
    name: 'delete',
    prepare: (direct, run) => pushTo(direct, run, run.from),
    act: async (store, { from }) => {
      const { scheme, bucket } = store.backend
      try {
        await deleteTag(store, { scheme, bucket, ...from })
      } catch (error) {
        // Deleted by the run before, whose answer was lost.
        if (!isS3loError(error, 'NOT_FOUND')) throw error
      }
    },
    published: () => [],
    removed: ({ from }) => [from],
    kept: byDigest,
  },
  restore: {
    name: 'restore',
    prepare: async (direct, run) => {
      await pushTo(direct, run, run.from)
      await pushTo(direct, { image: run.other }, run.from)
    },
    act: async (store, { image, from }) => {
      const { scheme, bucket } = store.backend
      const { digest } = image.root.descriptor
      await restore(store, { scheme, bucket, ...from }, { digest })
    },
    published: ({ from }) => [from],
    removed: () => [],
    kept: (run) => [...byDigest(run), ...byDigest({ ...run, image: run.other })],
  },
  list: {
    name: 'list',
    prepare: (direct, run) => pushTo(direct, run, run.from),
    act: async (store, { from }) => {
      const tags = await Array.fromAsync(store.tags(from.name))
      if (!tags.some((tag) => tag === from.tag)) throw new Error(`${from.tag} is not listed`)
    },
    published: ({ from }) => [from],
    removed: () => [],
    kept: () => [],
  },
}

async function runOperation(
  operation: Operation,
  { proxy, through, direct, kinds = FAULT_KINDS, extent = 'product' }: FaultMatrixOptions,
): Promise<FaultMatrixRow> {
  const store = new ImageStore(direct)
  const clean = newRun(operation.name, 'clean')
  await operation.prepare(store, clean)
  proxy.spoil()
  await operation.act(new ImageStore(through), clean)
  await assertOutcome(store, operation, clean)
  const requests = proxy.count

  const spoilings = spoilingsOf(extent, kinds, requests)
  let succeeded = 0
  for (const spoiling of spoilings) {
    const run = newRun(operation.name, Object.values(spoiling).join('-'))
    try {
      await operation.prepare(store, run)
      spoil(proxy, spoiling)
      if (await endsWell(operation.act(new ImageStore(through), run))) succeeded += 1
      await assertTags(store, [...operation.published(run), ...operation.removed(run)])
      for (const reference of operation.kept(run)) await assertWhole(store, reference)
      proxy.spoil()
      await operation.act(new ImageStore(through), run)
      await assertOutcome(store, operation, run)
    } catch (error) {
      const title = `${operation.name}: ${titleOf(spoiling)}`
      throw new Error(`${title}: ${String(error)}`, { cause: error })
    }
  }
  return { requests, runs: spoilings.length, succeeded }
}

function newRun(operation: string, label: string): Run {
  const unique = `${operation} ${label}`
  const large = Buffer.alloc(LARGE_LAYER_BYTES, unique)
  const image = indexFixture({
    'linux/amd64': imageFixture({ layers: [unique, large], label: unique }),
    'linux/arm64': imageFixture({ layers: [large], platform: 'linux/arm64', label: unique }),
  })
  const other = imageFixture({ layers: [`other ${unique}`], label: unique })
  const name = `faults/${operation}`
  return { image, other, from: { name, tag: label }, to: { name: `${name}/copied`, tag: label } }
}

function byDigest({ image, from }: Pick<Run, 'image' | 'from'>): readonly Reference[] {
  return [{ name: from.name, digest: image.root.descriptor.digest }]
}

async function pushTo(
  target: ImageStore,
  { image }: Pick<Run, 'image'>,
  to: Reference,
): Promise<void> {
  const source = new FixtureSource({ 'fixture:latest': image })
  await copy({ source, reference: { name: 'fixture', tag: 'latest' } }, { target, reference: to })
}

/** False when it ends in an error that says what is wrong; throws for any other one. */
async function endsWell(work: Promise<void>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (!isS3loError(error) || error.code === 'INTERNAL' || error.message.includes('\n')) {
      throw new Error(`not a clear error: ${String(error)}`, { cause: error })
    }
    return false
  }
}

async function assertOutcome(store: ImageStore, operation: Operation, run: Run): Promise<void> {
  const there = [...operation.published(run), ...operation.kept(run)]
  for (const reference of there) await assertWhole(store, reference)
  for (const reference of operation.removed(run)) {
    if (await store.find(reference)) throw new Error(`${reference.name} is still there`)
  }
}

/** Each tag is absent or whole. */
async function assertTags(store: ImageStore, references: readonly Reference[]): Promise<void> {
  for (const reference of references) {
    if (await store.find(reference)) await assertWhole(store, reference)
  }
}

/** Reads the image through, which verifies every byte of it. */
async function assertWhole(source: ImageStore, reference: Reference): Promise<void> {
  const target = new ImageStore(new MemoryBackend())
  const { name, tag = 'latest' } = reference
  await copy({ source, reference }, { target, reference: { name, tag } })
}

/** Every blob is what its name says, whether something refers to it or not. */
async function assertBlobsAreWhole(store: ImageStore): Promise<void> {
  for await (const { key, size } of store.backend.list('blobs/')) {
    const digest = key.replace(/^blobs\/([^/]+)\//, '$1:')
    const content = await store.blobs.open({ digest, size, mediaType: 'application/octet-stream' })
    // The store verifies while it is read.
    content.resume()
    await new Promise((resolve, reject) => content.once('end', resolve).once('error', reject))
  }
}
