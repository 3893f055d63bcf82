import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ImageSource } from '../../src/contract/image-source.ts'
import type { ImageTarget, Publication } from '../../src/contract/image-target.ts'
import type { ProgressEvent } from '../../src/contract/progress.ts'
import { S3loError } from '../../src/errors.ts'
import {
  foldSignatures,
  signatureManifest,
  signatureTagOf,
  SIMPLE_SIGNING_TYPE,
  unfoldSignatures,
} from '../../src/oci/cosign-signatures.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { type ManifestDocument, parseManifest, toDocument } from '../../src/oci/document.ts'
import { MEDIA_TYPE } from '../../src/oci/media-type.ts'
import { copy } from '../../src/operations/copy.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { readAll } from '../../src/stream/read-all.ts'
import {
  attachReferrer,
  imageFixture,
  type ImageFixture,
  MemoryBackend,
  putImage,
} from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one'] })
const subject = image.root.descriptor
const TAG = signatureTagOf(subject.digest) ?? ''
const reference = { name: 'app', tag: 'v1' }

/** A place with tags and referrers that is no store: what a registry is to a copy. */
class Registry implements ImageSource, ImageTarget, Publication {
  readonly kind = 'random-access'
  readonly name = 'a registry'
  readonly tagged = new Map<string, ManifestDocument>()
  readonly attached: ManifestDocument[] = []
  readonly contents = new Map<string, Uint8Array>()

  begin = (): Publication => this
  has = async ({ digest }: { digest: string }): Promise<boolean> => this.contents.has(digest)

  async put({ digest, size }: { digest: string; size: number }, open: () => Promise<Readable>) {
    this.contents.set(digest, await readAll(await open(), size, digest))
  }

  async attach(referrer: ManifestDocument): Promise<void> {
    this.attached.push(referrer)
  }

  async tag(root: ManifestDocument, { tag = '' }: { tag?: string }): Promise<void> {
    this.contents.set(root.descriptor.digest, root.content)
    this.tagged.set(tag, root)
  }

  async *tags(): AsyncGenerator<string> {
    yield* this.tagged.keys()
  }

  async resolve({ tag = '' }: { tag?: string }) {
    const found = this.tagged.get(tag)
    if (!found) throw new S3loError('NOT_FOUND', `no ${tag}`)
    return found.descriptor
  }

  async fetch({ digest }: { digest: string }): Promise<Readable> {
    const found = this.contents.get(digest)
    if (!found) throw new S3loError('NOT_FOUND', `no ${digest}`)
    return Readable.from([found])
  }
}

/** Signatures by these names, as cosign 2 tags them. */
function signaturesOf(...names: readonly string[]): ImageFixture {
  const layers = names.map((name) => ({
    mediaType: SIMPLE_SIGNING_TYPE,
    digest: digestOf(Buffer.from(name)),
    size: name.length,
    annotations: { 'dev.cosignproject.cosign/signature': Buffer.from(name).toString('base64') },
  }))
  const { document, config } = signatureManifest(layers)
  const content = new Map<string, Uint8Array>([[digestOf(config), config]])
  for (const name of names) content.set(digestOf(Buffer.from(name)), Buffer.from(name))
  return { root: document, content }
}

let store: ImageStore
let registry: Registry
let notices: string[]

beforeEach(async () => {
  store = new ImageStore(new MemoryBackend())
  registry = new Registry()
  notices = []
  await putImage(store.backend, reference, image)
})

const onProgress = (event: ProgressEvent): void => {
  if (event.type === 'notice') notices.push(event.code)
}

/** Signs in the store, as `sign` does. */
async function sign({ root, content }: ImageFixture): Promise<void> {
  const folded = foldSignatures(root, subject)
  if (!folded) throw new Error('these cannot be attached')
  await attachReferrer(store, folded, { repository: 'app', subject }, ({ digest }) =>
    Promise.resolve(Readable.from([content.get(digest) ?? ''])),
  )
}

async function push(): Promise<number> {
  const ends = [
    { source: store, reference },
    { target: registry, reference },
  ] as const
  return (await copy(...ends, { onProgress })).referrers_copied
}

function namesAt(tag: string): readonly string[] {
  const { content } = registry.tagged.get(tag) ?? { content: new Uint8Array() }
  const manifest = parseManifest(content, tag)
  if (manifest.kind !== 'manifest') throw new Error('not a manifest')
  return manifest.layers.map(({ digest }) => Buffer.from(registry.contents.get(digest)!).toString())
}

describe('signatures of a store', () => {
  it('get the tag that cosign 2 reads in a registry, with the bytes that they would have there', async () => {
    const alice = signaturesOf('alice')
    await sign(alice)
    expect(await push()).toBe(1)
    expect(registry.tagged.get(TAG)?.content).toEqual(alice.root.content)
    expect([...alice.content.keys()].every((digest) => registry.contents.has(digest))).toBe(true)
    expect([registry.attached, notices]).toEqual([[], []])
  })

  it('of several signers share one tag', async () => {
    for (const name of ['alice', 'bob', 'carol']) await sign(signaturesOf(name))
    expect(await push()).toBe(3)
    expect(namesAt(TAG).toSorted()).toEqual(['alice', 'bob', 'carol'])
    expect(registry.attached).toEqual([])
  })

  it('take none away that the registry has, and change nothing where it has them all', async () => {
    const there = signaturesOf('dave', 'alice')
    for (const [digest, bytes] of there.content) registry.contents.set(digest, bytes)
    await registry.tag(there.root, { tag: TAG })
    await sign(signaturesOf('alice'))
    await push()
    expect(registry.tagged.get(TAG)).toBe(there.root)
    await sign(signaturesOf('bob'))
    await push()
    expect(namesAt(TAG).toSorted()).toEqual(['alice', 'bob', 'dave'])
    const before = registry.tagged.get(TAG)
    await push()
    expect(registry.tagged.get(TAG)).toBe(before)
    expect(notices).toEqual([])
  })

  it('go beside those of a tag that the store has of another program', async () => {
    await putImage(store.backend, { name: 'app', tag: TAG }, signaturesOf('dave'))
    await sign(signaturesOf('alice'))
    expect(await push()).toBe(2)
    expect(namesAt(TAG).toSorted()).toEqual(['alice', 'dave'])
  })

  it('replace what is no signature under their tag, with a notice', async () => {
    await registry.tag(imageFixture({ layers: ['an image'] }).root, { tag: TAG })
    await sign(signaturesOf('alice'))
    await push()
    expect(namesAt(TAG)).toEqual(['alice'])
    expect(notices).toEqual(['signatures-replaced'])
  })

  it('are copied to another store as they are', async () => {
    await sign(signaturesOf('alice'))
    const target = new ImageStore(new MemoryBackend())
    const to = { name: 'other', tag: 'v1' }
    await copy({ source: store, reference }, { target, reference: to }, { onProgress })
    const [before] = await Array.fromAsync(store.referrers('app', subject))
    expect(await Array.fromAsync(target.referrers('other', subject))).toEqual([before])
    expect(await Array.fromAsync(target.tags('other'))).toEqual(['v1'])
  })
})

describe('signatures of a registry', () => {
  async function pull(tagged: ImageFixture): Promise<void> {
    for (const { root, content } of [image, tagged]) {
      for (const [digest, bytes] of content) registry.contents.set(digest, bytes)
      registry.contents.set(root.descriptor.digest, root.content)
    }
    await registry.tag(image.root, { tag: 'v1' })
    await registry.tag(tagged.root, { tag: TAG })
    store = new ImageStore(new MemoryBackend())
    await copy({ source: registry, reference }, { target: store, reference }, { onProgress })
  }

  it('become a referrer in a store, where no program counts them as an image', async () => {
    await pull(signaturesOf('alice', 'bob'))
    expect(await Array.fromAsync(store.tags('app'))).toEqual(['v1'])
    const [found] = await Array.fromAsync(store.referrers('app', subject))
    expect(found).toMatchObject({ artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json' })
  })

  it('come back with the same bytes', async () => {
    const both = signaturesOf('alice', 'bob')
    await pull(both)
    registry = new Registry()
    await push()
    expect(registry.tagged.get(TAG)?.content).toEqual(both.root.content)
  })

  it('are added to an image that is immutable, and take none away', async () => {
    await pull(signaturesOf('alice'))
    const config = Buffer.from('default: {immutable: true}\n')
    await store.backend.put('s3lo.yaml', config)
    await registry.tag(signaturesOf('bob').root, { tag: TAG })
    registry.contents.set(digestOf(Buffer.from('bob')), Buffer.from('bob'))
    const [digest, bytes] = [...signaturesOf('bob').content][0]!
    registry.contents.set(digest, bytes)
    const target = new ImageStore(store.backend)
    await copy({ source: registry, reference }, { target, reference }, { onProgress })
    expect(await Array.fromAsync(store.referrers('app', subject))).toHaveLength(2)
    expect(notices).toEqual([])
  })

  it('of what is signed themselves refer to the signature, and get its tag again', async () => {
    const alice = signaturesOf('alice')
    const over = signaturesOf('over alice')
    for (const [digest, bytes] of over.content) registry.contents.set(digest, bytes)
    const nested = signatureTagOf(alice.root.descriptor.digest) ?? ''
    await registry.tag(over.root, { tag: nested })
    await pull(alice)
    const [first] = await Array.fromAsync(store.referrers('app', subject))
    const [second] = await Array.fromAsync(store.referrers('app', first!))
    const content = await store.fetch(second!, { repository: 'app' })
    const document = toDocument(await readAll(content, 10_000, 'it'), MEDIA_TYPE.ociManifest)
    expect(unfoldSignatures(document)?.content).toEqual(over.root.content)
    registry = new Registry()
    await push()
    expect(registry.tagged.get(nested)?.content).toEqual(over.root.content)
  })

  it('that would not come back with the same bytes stay a tag', async () => {
    const { root, content } = signaturesOf('alice')
    const spaced = JSON.stringify(JSON.parse(Buffer.from(root.content).toString()), null, 2)
    const document = toDocument(Buffer.from(spaced), MEDIA_TYPE.ociManifest)
    await pull({ root: document, content })
    expect(await Array.fromAsync(store.tags('app'))).toContain(TAG)
    expect(await Array.fromAsync(store.referrers('app', subject))).toEqual([])
  })
})
