/** What operations cost in requests to the store: counted, not timed, on a store in memory. */
import { copy, deleteTag, ImageStore, restore } from '@s3lo/core'
import { FaultyBackend, FixtureSource, imageFixture, MemoryBackend } from '@s3lo/core/testing'

const V1 = { name: 'app', tag: 'v1' }
const PLACE = { scheme: 'memory', bucket: 'memory', image: 'app', ...V1 }
const [first, second] = [imageFixture({ layers: ['one'] }), imageFixture({ layers: ['two'] })]

export interface RequestCount {
  readonly name: string
  readonly value: number
  /** The count of today: more is a regression. */
  readonly bar: number
}

/** Counts each operation on an image of one layer. */
export async function countRequests(): Promise<readonly RequestCount[]> {
  const backend = new FaultyBackend(new MemoryBackend())
  const store = new ImageStore(backend)
  const push = (image: typeof first): Promise<unknown> =>
    copy(
      { source: new FixtureSource({ 'app:v1': image }), reference: V1 },
      { target: store, reference: V1 },
    )
  const counts: RequestCount[] = []
  const count = async (name: string, bar: number, work: () => Promise<unknown>): Promise<void> => {
    backend.calls.length = 0
    await work()
    counts.push({ name: `requests of ${name}`, value: backend.calls.length, bar })
  }
  await count('a push', 16, () => push(first))
  await count('an unchanged push', 10, () => push(first))
  await count('a move', 16, () => push(second))
  const { digest } = first.root.descriptor
  await count('a look by digest', 1, () => new ImageStore(backend).resolve({ name: 'app', digest }))
  await count('a delete', 17, () => deleteTag(store, PLACE))
  await count('a restore', 22, () => restore(store, PLACE))
  return counts
}
