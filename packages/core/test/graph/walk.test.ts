import { Readable } from 'node:stream'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isS3loError, S3loError } from '../../src/errors.ts'
import { childManifests, entriesBelow, readBelow, readingFrom } from '../../src/graph/walk.ts'
import type { Descriptor } from '../../src/oci/descriptor.ts'
import { type ManifestDocument, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { type MetManifest, walkManifests } from '../../src/store/walk-manifests.ts'
import { imageFixture } from '../../src/testing/index.ts'

/** Manifests that can be read, and how often each was. */
class Source {
  readonly name = 'source'
  readonly documents = new Map<string, ManifestDocument>()
  readonly reads: string[] = []
  fault: ((digest: string) => Error | undefined) | undefined

  add(document: ManifestDocument): Descriptor {
    this.documents.set(document.descriptor.digest, document)
    return document.descriptor
  }

  image(label: string): Descriptor {
    return this.add(imageFixture({ layers: [], label }).root)
  }

  index(manifests: readonly Descriptor[], label = ''): Descriptor {
    const annotations = { label }
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociIndex,
      manifests,
      annotations,
    })
    return this.add(toDocument(Buffer.from(text), MEDIA_TYPE.ociIndex))
  }

  get({ digest }: Descriptor): ManifestDocument {
    const document = this.documents.get(digest)
    if (!document) throw new S3loError('NOT_FOUND', `${digest} is missing`)
    return document
  }

  async fetch(descriptor: Descriptor): Promise<Readable> {
    this.reads.push(descriptor.digest)
    const fault = this.fault?.(descriptor.digest)
    if (fault) throw fault
    return Readable.from([this.get(descriptor).content])
  }
}

const follow = ({ found }: MetManifest): readonly Descriptor[] =>
  isS3loError(found) ? [] : childManifests(found.manifest)

/** Each node is an image, or an index of nodes that were made before it. */
const graphs = fc.array(fc.array(fc.nat({ max: 30 }), { maxLength: 4 }), {
  minLength: 1,
  maxLength: 7,
})

function build(graph: readonly (readonly number[])[]): {
  readonly source: Source
  readonly root: ManifestDocument
} {
  const source = new Source()
  const nodes: Descriptor[] = []
  for (const [i, children] of graph.entries()) {
    const named = i === 0 ? [] : children.map((child) => nodes[child % i]!)
    nodes.push(named.length > 0 ? source.index(named, `${i}`) : source.image(`${i}`))
  }
  return { source, root: source.get(nodes.at(-1)!) }
}

/** The digests below a manifest, by plain recursion. */
function below(source: Source, document: ManifestDocument): ReadonlySet<string> {
  const digests = new Set<string>()
  for (const child of childManifests(document.manifest)) {
    digests.add(child.digest)
    for (const digest of below(source, source.get(child))) digests.add(digest)
  }
  return digests
}

describe('a walk over manifests', () => {
  it('reads each once, however many name it, and children come before what names them', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (graph) => {
        const { source, root } = build(graph)
        const expected = below(source, root)
        const documents = await readBelow(source, root)
        expect(new Set(documents.keys())).toEqual(expected)
        expect(source.reads).toHaveLength(expected.size)
        const order: string[] = []
        for (const { document, isRepeated } of entriesBelow(root, documents)) {
          if (!document || isRepeated) continue
          for (const { digest } of childManifests(document.manifest))
            expect(order).toContain(digest)
          order.push(document.descriptor.digest)
        }
        expect(order).toHaveLength(expected.size)
        expect(new Set(order)).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  it('gives what is wrong with a manifest as a value, and reads the rest', async () => {
    const source = new Source()
    const [whole, damaged, refused] = ['whole', 'damaged', 'refused'].map((label) =>
      source.image(label),
    )
    const missing = { ...whole!, digest: `sha256:${'0'.repeat(64)}` }
    const root = source.get(source.index([missing, damaged!, refused!, whole!]))
    source.fault = (digest) => {
      if (digest === damaged!.digest) return new S3loError('INTEGRITY', 'damaged')
      return digest === refused!.digest ? new S3loError('FORBIDDEN', 'refused') : undefined
    }
    const met = new Map<string, string>()
    const visit = (each: MetManifest): readonly Descriptor[] => {
      const { descriptor, found } = each
      met.set(descriptor.digest, isS3loError(found) ? found.code : 'read')
      return follow(each)
    }
    await walkManifests(readingFrom(source), childManifests(root.manifest), visit)
    expect(met).toEqual(
      new Map([
        [missing.digest, 'NOT_FOUND'],
        [damaged!.digest, 'INTEGRITY'],
        [refused!.digest, 'FORBIDDEN'],
        [whole!.digest, 'read'],
      ]),
    )
    await expect(readBelow(source, root)).rejects.toBeInstanceOf(S3loError)
  })

  it('fails when the source does not answer', async () => {
    const source = new Source()
    const root = source.get(source.index([source.image('a')]))
    const failure = new S3loError('UNAVAILABLE', 'no answer')
    source.fault = () => failure
    await expect(
      walkManifests(readingFrom(source), childManifests(root.manifest), follow),
    ).rejects.toBe(failure)
  })

  it('leaves out what is not there where that is asked for, and nothing else', async () => {
    const source = new Source()
    const image = source.image('a')
    const root = source.get(source.index([{ ...image, digest: `sha256:${'0'.repeat(64)}` }, image]))
    const documents = await readBelow(source, root, { isSparse: true })
    expect([...documents.keys()]).toEqual([image.digest])
    await expect(readBelow(source, root)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('does not read what is nested too deep', async () => {
    const source = new Source()
    let nested = source.image('a')
    for (let depth = 0; depth < 9; depth++) nested = source.index([nested], `${depth}`)
    const root = source.get(nested)
    const codes: string[] = []
    const visit = (each: MetManifest): readonly Descriptor[] => {
      if (isS3loError(each.found)) codes.push(each.found.code)
      return follow(each)
    }
    await walkManifests(readingFrom(source), childManifests(root.manifest), visit)
    expect(codes).toEqual(['INTEGRITY'])
    expect(source.reads).toHaveLength(8)
  })

  it('is no larger where indexes list each other many times', async () => {
    const source = new Source()
    let nested = source.image('a')
    for (let depth = 0; depth < 8; depth++) {
      nested = source.index(Array<Descriptor>(50).fill(nested), `${depth}`)
    }
    const root = source.get(nested)
    const documents = await readBelow(source, root)
    expect(documents.size).toBe(8)
    expect([...entriesBelow(root, documents)]).toHaveLength(8 * 50)
  })
})
