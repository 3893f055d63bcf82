import { Readable } from 'node:stream'
import { type Descriptor, digestOf, MEDIA_TYPE, S3loError } from '@s3lo/core'
import { expect, it } from 'vitest'
import type { LayoutFiles } from '../src/layout/layout-files.ts'
import { LayoutSource } from '../src/layout/layout-source.ts'

const encode = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** A layout of so many manifests, each with a tag and one that refers to it; counts what is read. */
class CountedLayout implements LayoutFiles {
  readonly name = 'test layout'
  readonly subjects: Descriptor[] = []
  reads = 0
  bytes = 0
  readonly #files = new Map<string, Buffer>()

  constructor(count: number) {
    const entries: Descriptor[] = []
    for (let i = 0; i < count; i++) {
      const subject = this.#manifest({ annotations: { number: String(i) } })
      this.subjects.push(subject)
      entries.push({ ...subject, annotations: { 'org.opencontainers.image.ref.name': `v${i}` } })
      entries.push(this.#manifest({ subject, annotations: { about: subject.digest } }))
    }
    this.#files.set('index.json', encode({ schemaVersion: 2, manifests: entries }))
  }

  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.#files.get(path)?.length)
  }

  async content(path: string): Promise<Readable> {
    return Readable.from([await this.read(path)])
  }

  read(path: string): Promise<Uint8Array> {
    const content = this.#files.get(path)
    if (!content) throw new S3loError('NOT_FOUND', path)
    this.reads += 1
    this.bytes += content.length
    return Promise.resolve(content)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #manifest(fields: object): Descriptor {
    const config = { mediaType: MEDIA_TYPE.ociConfig, digest: digestOf(encode({})), size: 2 }
    const mediaType = MEDIA_TYPE.ociManifest
    const content = encode({ schemaVersion: 2, mediaType, config, layers: [], ...fields })
    const digest = digestOf(content)
    this.#files.set(`blobs/sha256/${digest.slice(7)}`, content)
    return { mediaType, digest, size: content.length }
  }
}

/** What a copy asks a layout for each manifest of an image. */
async function askForAll(count: number): Promise<CountedLayout> {
  const files = new CountedLayout(count)
  const source = new LayoutSource(files)
  for (const [i, subject] of files.subjects.entries()) {
    const tag = `sha256-${subject.digest.slice(7)}.sig`
    await expect(source.resolve({ name: '', tag })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect((await source.resolve({ name: '', tag: `v${i}` })).digest).toBe(subject.digest)
    const referrers = await Array.fromAsync(source.referrers('', subject))
    expect(referrers).toMatchObject([{ annotations: { about: subject.digest } }])
  }
  return files
}

it('ten times as many manifests take ten times as many reads, not a hundred times', async () => {
  const [small, large] = [await askForAll(20), await askForAll(200)]
  expect(large.reads).toBeLessThan(small.reads * 10.5)
  expect(large.bytes).toBeLessThan(small.bytes * 11)
})
