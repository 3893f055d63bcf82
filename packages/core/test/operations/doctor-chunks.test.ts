import { beforeEach, describe, expect, it } from 'vitest'
import { recipeKey } from '../../src/layout/keys.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { doctor } from '../../src/operations/doctor.ts'
import { ImageStore } from '../../src/store/image-store.ts'
import { imageFixture, MemoryBackend, putImage } from '../../src/testing/index.ts'

const image = imageFixture({ layers: ['one two'] })
const layer = digestOf(Buffer.from('one two'))
const chunks = ['one ', 'two'].map((text) => ({ text, hex: digestOf(Buffer.from(text)).slice(7) }))

let backend: MemoryBackend

/** The layer as the Go program stores one of more than a mebibyte. */
beforeEach(async () => {
  backend = new MemoryBackend()
  await putImage(backend, { name: 'app', tag: 'v1' }, image)
  await putImage(backend, { name: 'app', tag: 'whole' }, imageFixture({ layers: ['other'] }))
  await backend.delete([`blobs/sha256/${layer.slice(7)}`])
  for (const { text, hex } of chunks) await backend.put(`chunks/sha256/${hex}`, Buffer.from(text))
  const listed = chunks.map(({ text, hex }) => ({ digest: hex, compressedSize: text.length }))
  await backend.put(recipeKey(layer), Buffer.from(JSON.stringify({ chunks: listed })))
})

const check = (): ReturnType<typeof doctor> => doctor(new ImageStore(backend), '', { probe: false })

describe('a layer in chunks', () => {
  it('makes its tag one that cannot be pulled here, which is named and not called whole', async () => {
    const report = await check()
    expect(report).toMatchObject({ broken: false, chunked_tags: ['app:v1'] })
    const messages = report.findings.map(({ message }) => message)
    expect(messages).toContain('1 tags are whole')
    expect(messages).toContainEqual(expect.stringContaining('app:v1 cannot be pulled'))
  })

  it.each<[string, string, () => Promise<unknown>]>([
    ['of which one is gone', 'missing', () => backend.delete([`chunks/sha256/${chunks[1]!.hex}`])],
    [
      'of which one is cut',
      'damaged',
      () => backend.put(`chunks/sha256/${chunks[1]!.hex}`, Buffer.from('tw')),
    ],
    [
      'whose list is torn',
      'damaged',
      () => backend.put(recipeKey(layer), Buffer.from('{"chunks":')),
    ],
    [
      'whose list names no digest',
      'damaged',
      () => backend.put(recipeKey(layer), Buffer.from('{"chunks":[{"digest":"../x"}]}')),
    ],
  ])('%s is a %s blob', async (_, problem, spoil) => {
    await spoil()
    const blobs = [{ digest: layer, role: 'layer', problem }]
    const report = await check()
    expect(report).toMatchObject({ broken: true, manifest_issues: [{ image: 'app:v1', blobs }] })
    expect(report.chunked_tags).toBeUndefined()
  })
})
