import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { buildZtoc } from '../../src/ztoc/build.ts'
import { ZtocBuilder } from '../../src/ztoc/ztoc-builder.ts'
import { END, file, gz, LAYERS, pseudoRandom, stored } from './tar-fixture.ts'

/** A gzip layer whose header has texts of these lengths. */
function withTexts(name: number, comment: number): Buffer {
  const flags = (name > 0 ? 8 : 0) | (comment > 0 ? 16 : 0)
  const head = Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255])
  const texts = [name, comment].filter((length) => length > 0)
  const fields = texts.map((length) => Buffer.from(`${'x'.repeat(length)}\0`))
  const tar = Buffer.concat([file('a', 'a'), END])
  return gz(stored(tar), tar, Buffer.concat([head, ...fields]))
}

test('a gzip header that Go refuses to read is refused', () => {
  const build = (layer: Buffer): void => {
    const builder = new ZtocBuilder()
    for (const byte of [layer.subarray(0, 100), layer.subarray(100)]) builder.push(byte)
    builder.finish()
  }
  for (const layer of [withTexts(511, 0), withTexts(0, 511), withTexts(511, 511)]) {
    expect(() => build(layer)).not.toThrow()
  }
  for (const layer of [withTexts(512, 0), withTexts(0, 512), withTexts(70_000, 1)]) {
    expect(() => build(layer)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  }
})

describe('building in a worker', () => {
  test('gives what building here gives, however the content is cut', async () => {
    const tar = Buffer.concat([file('a', pseudoRandom(3_000_000)), file('b', 'b'), END])
    const layer = gzipSync(tar, { level: 1 })
    const builder = new ZtocBuilder({ spanSize: 100_000 })
    builder.push(layer)
    const { content } = builder.finish()
    for (const step of [65_536, 1_000_003, layer.length]) {
      const parts = Array.from({ length: Math.ceil(layer.length / step) }, (_, i) =>
        layer.subarray(i * step, (i + 1) * step),
      )
      const built = await buildZtoc(Readable.from(parts), { spanSize: 100_000 })
      expect(Buffer.compare(built.content, content)).toBe(0)
      expect(built).toMatchObject({
        layerSize: layer.length,
        algorithm: 'gzip',
        needsNoXattrs: true,
      })
    }
  })

  test('works on several layers at once', async () => {
    const builds = [LAYERS.A, LAYERS.B, LAYERS.C].map((layer) => buildZtoc(Readable.from([layer])))
    expect((await Promise.all(builds)).map(({ layerSize }) => layerSize)).toEqual([
      2071, 5150, 212798,
    ])
  })

  test('a layer that begins with one byte at a time is told apart all the same', async () => {
    const bytes = [...LAYERS.A].map((byte) => Buffer.from([byte]))
    expect((await buildZtoc(Readable.from(bytes))).algorithm).toBe('gzip')
  })

  test('the worker’s refusal is the caller’s, and the content is destroyed', async () => {
    const content = Readable.from([LAYERS.A, Buffer.alloc(16)])
    await expect(buildZtoc(content)).rejects.toMatchObject({ code: 'INTEGRITY' })
    expect(content.destroyed).toBe(true)
  })

  test('a content that fails is what the build fails with', async () => {
    const failure = new Error('the connection was lost')
    const content = new PassThrough()
    content.write(LAYERS.A.subarray(0, 100))
    const building = buildZtoc(content)
    content.destroy(failure)
    await expect(building).rejects.toBe(failure)
  })

  test('an abort ends the build while it waits for content', async () => {
    const controller = new AbortController()
    const content = new PassThrough()
    content.write(LAYERS.A.subarray(0, 100))
    const building = buildZtoc(content, { signal: controller.signal })
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(building).rejects.toBe(reason)
    expect(content.destroyed).toBe(true)
    await expect(buildZtoc(new PassThrough(), { signal: controller.signal })).rejects.toBe(reason)
  })
})
