import { beforeEach, describe, expect, it } from 'vitest'
import { LiveGraph } from '../../src/gc/live-graph.ts'
import { nameOf } from '../../src/gc/name-set.ts'
import { blobKey } from '../../src/layout/keys.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { type ManifestDocument, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { FaultyBackend, imageFixture, MemoryBackend } from '../../src/testing/index.ts'

const { signal } = new AbortController()

let backend: FaultyBackend
let graph: LiveGraph

beforeEach(() => {
  backend = new FaultyBackend(new MemoryBackend())
  graph = new LiveGraph(backend)
})

function image(label: string): ManifestDocument {
  return imageFixture({ layers: [label], label }).root
}

function index(...children: readonly ManifestDocument[]): ManifestDocument {
  const manifests: readonly Descriptor[] = children.map(({ descriptor }) => descriptor)
  const text = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests })
  return toDocument(Buffer.from(text), MEDIA_TYPE.ociIndex)
}

async function put(...documents: readonly ManifestDocument[]): Promise<void> {
  for (const { descriptor, content } of documents) {
    await backend.put(blobKey(descriptor.digest), content)
  }
}

function name({ descriptor }: ManifestDocument): string {
  return nameOf(descriptor.digest)
}

const addRecord = ({ content, descriptor }: ManifestDocument): Promise<void> =>
  graph.addRecord('app', content, descriptor.digest, signal)
const addTag = ({ content }: ManifestDocument): Promise<void> =>
  graph.addTag('app', content, 'app:v1', signal)

/** What is known to be whole and reached of some manifests. */
function verdicts(documents: readonly ManifestDocument[]): readonly string[] {
  return documents.map((document) => {
    const isWhole = graph.hasManifest(name(document))
    const isReached = graph.isReachedIn('app', name(document))
    return `${isWhole ? 'whole' : 'partial'} ${isReached ? 'reached' : 'unreached'}`
  })
}

describe('what live roots reach', () => {
  const present = image('present')
  const gone = image('gone')
  const nested = index(present, gone)
  const root = index(nested, present)

  it('counts below a record of which a manifest is gone, and is looked at again', async () => {
    await put(present, nested)
    await addRecord(root)
    expect(verdicts([present, nested, root])).toEqual([
      'whole reached',
      'partial reached',
      'partial unreached',
    ])
    await put(gone)
    await addRecord(root)
    expect(verdicts([present, gone, nested, root])).toEqual([
      'whole reached',
      'whole reached',
      'whole reached',
      'whole unreached',
    ])
  })

  it('is not known below a tag of which a manifest is gone', async () => {
    await put(present, nested)
    await expect(addTag(root)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(graph.hasManifest(name(root))).toBe(false)
    expect(graph.hasManifest(name(nested))).toBe(false)
  })

  it('is read once where it is known in the repository, and again for another one', async () => {
    await put(present, gone, nested)
    await addTag(root)
    const reads = backend.calls.splice(0).filter(({ method }) => method === 'get').length
    expect(reads).toBe(3)
    await addTag(root)
    expect(backend.calls.splice(0).filter(({ method }) => method === 'get')).toEqual([])
    await graph.addTag('other', root.content, 'other:v1', signal)
    expect(graph.isReachedIn('other', name(gone))).toBe(true)
    expect(backend.calls.filter(({ method }) => method === 'get')).toHaveLength(1)
  })

  it('is nested as deep as an image that can be copied, and no deeper', async () => {
    let top = image('deep')
    for (let depth = 0; depth < 8; depth++) {
      await put(top)
      top = index(top)
    }
    await addTag(top)
    await put(top)
    graph = new LiveGraph(backend)
    await expect(addTag(index(top))).rejects.toMatchObject({ code: 'INTEGRITY' })
  })
})
