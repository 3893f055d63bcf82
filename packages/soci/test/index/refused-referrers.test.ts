import { imageFixture, FixtureSource } from '@s3lo/core/testing'
import { type LayerReaderContext, S3loError } from '@s3lo/core/plugin'
import { expect, it } from 'vitest'
import { openLayer } from '../../src/layer-reader.ts'

const image = imageFixture({ layers: ['a layer'] })
const [layer] = (JSON.parse(Buffer.from(image.root.content).toString()) as { layers: [Layer] })
  .layers

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/** An image whose source answers the question for its referrers with an error. */
function contextWith(error: S3loError, showsImage = true): LayerReaderContext {
  const images = new FixtureSource({ 'app:v1': image })
  return {
    root: image.root,
    image: image.root,
    indexes: { read: async () => undefined, write: async () => {} },
    source: {
      name: 'a registry',
      fetch: async (descriptor, options) => {
        if (!showsImage) throw error
        return images.fetch(descriptor, options)
      },
      referrers: async function* () {
        yield* []
        throw error
      },
    },
  }
}

it('an index that a source refuses to list, while it shows the image, is none', async () => {
  for (const code of ['UNAUTHORIZED', 'FORBIDDEN', 'UNSUPPORTED', 'NOT_FOUND'] as const) {
    expect(await openLayer(layer, contextWith(new S3loError(code, 'no')))).toBeUndefined()
  }
})

it('a source that refuses the image as well, or fails, is an error', async () => {
  const refusal = new S3loError('UNAUTHORIZED', 'log in')
  await expect(openLayer(layer, contextWith(refusal, false))).rejects.toBe(refusal)
  const failure = new S3loError('UNAVAILABLE', 'try later')
  await expect(openLayer(layer, contextWith(failure))).rejects.toBe(failure)
})
