import { attachReferrer } from '@s3lo/core/testing'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type ImageTarget, MEDIA_TYPE, parseManifest, successors, toDocument } from '@s3lo/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import * as ociLayout from '../src/oci-layout.ts'
import {
  asBlobs,
  encode,
  hexOf,
  layoutIndex,
  makeImage,
  makeLayer,
  makeMultiPlatform,
  manifestOver,
  threeLayers,
  type TestImage,
} from './images.ts'
import { MemorySink } from './memory-sink.ts'
import { codeOf } from './code-of.ts'
import { randomAccess, readImage } from './read-image.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 's3lo-layout-'))
})
afterEach(() => rm(folder, { recursive: true }))

const options = { env: {} }

async function save(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

async function writeLayout(files: Record<string, Uint8Array>): Promise<string> {
  const root = join(folder, 'layout')
  await mkdir(join(root, 'blobs', 'sha256'), { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(join(root, name), content)
  return root
}

async function openTarget(text: string): Promise<ImageTarget> {
  const { target } = await ociLayout.openTarget(text, options)
  if (target.kind !== 'random-access') throw new Error('expected random access')
  return target
}

async function push(
  target: ImageTarget,
  image: TestImage,
  tag?: string,
  createOnly = false,
): Promise<void> {
  const sink = new MemorySink(image.config, ...image.layers.map(({ plain }) => plain))
  const blobs = successors(parseManifest(image.document.content, 'test'))
  await Promise.all(blobs.map((blob) => target.begin().put(blob, () => sink.fetch(blob))))
  await target.begin().tag(image.document, tag === undefined ? { name: '' } : { name: '', tag }, {
    createOnly,
  })
}

describe('an OCI layout', () => {
  it('gives back what was written to it, blobs pushed at once', async () => {
    const image = await threeLayers()
    const root = join(folder, 'new', 'layout')
    await push(await openTarget(`${root}:v1`), image, 'v1')
    const { root: document } = await readImage(await ociLayout.openSource(`${root}:v1`, options))
    expect(document).toEqual(image.document)
    expect((await readdir(root)).toSorted()).toEqual(['blobs', 'index.json', 'oci-layout'])
    expect(await readdir(join(root, 'blobs', 'sha256'))).toHaveLength(4)
  })

  it('replaces the entry of its tag and keeps everything else', async () => {
    const [a, b] = [
      await makeImage([await makeLayer('a')]),
      await makeImage([await makeLayer('b')]),
    ]
    const root = await writeLayout({})
    const target = await openTarget(root)
    await Promise.all([push(target, a, 'v1'), push(target, a, 'v2')])
    const index = JSON.parse((await readFile(join(root, 'index.json'))).toString())
    await writeFile(
      join(root, 'index.json'),
      JSON.stringify({ ...index, annotations: { mine: 'kept' } }),
    )
    await push(target, b, 'v1')
    const read = async (tag: string) =>
      (await readImage(await ociLayout.openSource(`${root}:${tag}`, options))).root
    expect(await read('v1')).toEqual(b.document)
    expect(await read('v2')).toEqual(a.document)
    expect(JSON.parse((await readFile(join(root, 'index.json'))).toString()).annotations).toEqual({
      mine: 'kept',
    })
    const tags: string[] = []
    for await (const tag of randomAccess(await ociLayout.openSource(root, options)).tags!(''))
      tags.push(tag)
    expect(tags.toSorted()).toEqual(['v1', 'v2'])
    expect(await codeOf(push(target, a, 'v1', true))).toBe('CONFLICT')
  })

  it('leaves its index alone when it says already what is tagged', async () => {
    const root = join(folder, 'layout')
    const image = await threeLayers()
    await push(await openTarget(`${root}:v1`), image, 'v1')
    const before = await stat(join(root, 'index.json'))
    await push(await openTarget(`${root}:v1`), image, 'v1')
    expect((await stat(join(root, 'index.json'))).ino).toBe(before.ino)
    await push(await openTarget(`${root}:v2`), image, 'v2')
    const { manifests } = JSON.parse(await readFile(join(root, 'index.json'), 'utf8'))
    expect(manifests).toHaveLength(2)
  })

  it('takes the only image without a tag, and asks when there are several', async () => {
    const [a, b] = [
      await makeImage([await makeLayer('a')]),
      await makeImage([await makeLayer('b')]),
    ]
    const root = await writeLayout({})
    const target = await openTarget(root)
    await push(target, a)
    expect((await readImage(await ociLayout.openSource(root, options))).root).toEqual(a.document)
    await push(target, b)
    expect(await codeOf(readImage(await ociLayout.openSource(root, options)))).toBe('USAGE')
    await push(target, b, 'v1')
    await push(target, a, `sha256-${'a'.repeat(64)}.sig`)
    expect((await readImage(await ociLayout.openSource(root, options))).root).toEqual(b.document)
    expect(await codeOf(readImage(await ociLayout.openSource(`${root}:v9`, options)))).toBe(
      'NOT_FOUND',
    )
  })

  it('stores content whose digest it finds out', async () => {
    const target = await openTarget(await writeLayout({}))
    const { plain, diffId } = await makeLayer('x')
    const content = (): Readable => Readable.from([plain])
    const stored = await target.begin().ingest!(content(), plain.length, MEDIA_TYPE.ociLayer)
    expect(stored).toEqual({ mediaType: MEDIA_TYPE.ociLayer, digest: diffId, size: plain.length })
    expect(await target.begin().has(stored)).toBe(true)
    expect(await codeOf(target.begin().ingest!(content(), plain.length + 1, ''))).toBe('INTEGRITY')
  })

  it('keeps nothing of a blob that is not what it should be', async () => {
    const root = await writeLayout({})
    const target = await openTarget(root)
    const { plain, diffId } = await makeLayer('x')
    const descriptor = { mediaType: '', digest: diffId, size: plain.length }
    const wrong = async (): Promise<Readable> => Readable.from([Buffer.alloc(plain.length)])
    expect(await codeOf(target.begin().put(descriptor, wrong))).toBe('INTEGRITY')
    expect(await readdir(join(root, 'blobs', 'sha256'))).toEqual([])
    expect(await target.begin().has(descriptor)).toBe(false)
  })

  it('attaches what refers to an image, and lists it', async () => {
    const image = await threeLayers()
    const root = await writeLayout({})
    const target = await openTarget(root)
    await push(target, image, 'v1')
    const blob = encode({ signed: true })
    const { mediaType, digest, size } = image.document.descriptor
    const base = JSON.parse(Buffer.from(manifestOver(blob, []).content).toString())
    const content = encode({
      ...base,
      artifactType: 'application/x-test',
      subject: { mediaType, digest, size },
    })
    const referrer = toDocument(content, MEDIA_TYPE.ociManifest)
    const place = { repository: 'app', subject: image.document.descriptor }
    await attachReferrer(target, referrer, place, async () => Readable.from([blob]))
    const opened = await ociLayout.openSource(root, options)
    const found: object[] = []
    for await (const descriptor of randomAccess(opened).referrers!('app', place.subject))
      found.push(descriptor)
    expect(found).toEqual([{ ...referrer.descriptor, artifactType: 'application/x-test' }])
    expect((await readImage(opened)).root).toEqual(image.document)
  })

  it('reads an index inside its index, and a child by its digest', async () => {
    const multi = await makeMultiPlatform()
    const root = await writeLayout({
      ...asBlobs(multi.blobs),
      'index.json': layoutIndex([multi.index.descriptor], 'docker.io/library/app:v1'),
    })
    const opened = await ociLayout.openSource(`${root}:v1`, options)
    const source = randomAccess(opened)
    expect(await source.resolve(opened.reference)).toEqual(multi.index.descriptor)
    const { digest } = multi.children.arm64.descriptor
    expect(await source.resolve({ name: '', digest })).toEqual(multi.children.arm64.descriptor)
  })

  it('does not follow a link out of the layout', async () => {
    const image = await makeImage([await makeLayer('x')])
    const root = await writeLayout({
      'index.json': layoutIndex([image.document.descriptor], 'a:v1'),
    })
    const outside = await save('outside', image.document.content)
    await symlink(outside, join(root, 'blobs', 'sha256', hexOf(image.document.descriptor.digest)))
    expect(await codeOf(readImage(await ociLayout.openSource(root, options)))).toBe('INTEGRITY')
    const target = await openTarget(join(folder, 'other'))
    await mkdir(join(folder, 'other', 'blobs'), { recursive: true })
    await symlink(folder, join(folder, 'other', 'blobs', 'sha256'))
    expect(await codeOf(push(target, image, 'v1'))).toBe('INTEGRITY')
  })

  it('is not there, or is none, or is of another version', async () => {
    expect(await codeOf(readImage(await ociLayout.openSource(join(folder, 'none'), options)))).toBe(
      'NOT_FOUND',
    )
    const image = await makeImage([await makeLayer('x')])
    const root = await writeLayout({ 'oci-layout': encode({ imageLayoutVersion: '2.0.0' }) })
    expect(await codeOf(push(await openTarget(root), image, 'v1'))).toBe('UNSUPPORTED')
    const broken = layoutIndex([{ ...image.document.descriptor, digest: 'sha256:../../x' }], 'a:v1')
    await writeFile(join(root, 'index.json'), broken)
    expect(await codeOf(readImage(await ociLayout.openSource(root, options)))).toBe('INTEGRITY')
  })
})
