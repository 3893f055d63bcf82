import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ChunkRecipe,
  formatChunkRecipe,
  MAX_CHUNK_RECIPE_BYTES,
  parseChunkRecipe,
} from '../../src/chunk/chunk-recipe.ts'
import { chunkRecipeKey } from '../../src/layout/chunk-keys.ts'
import { digestOf } from '../../src/oci/digest.ts'

const digest = (text: string): string => digestOf(Buffer.from(text))
const RECIPE: ChunkRecipe = {
  layer: { digest: digest('layer'), size: 5 },
  content: { digest: digest('content'), size: 30 },
  chunks: [
    { raw: digest('a'), size: 10, frame: digest('A'), frameSize: 2 },
    { raw: digest('b'), size: 20, frame: digest('B'), frameSize: 3 },
  ],
}
const KEY = chunkRecipeKey(RECIPE.layer.digest)

const parsed = (document: unknown): ChunkRecipe =>
  parseChunkRecipe(Buffer.from(JSON.stringify(document)), KEY)

const refused = (document: unknown): void =>
  expect(() => parsed(document), JSON.stringify(document)).toThrow(
    expect.objectContaining({ code: 'INTEGRITY' }),
  )

interface Document {
  chunks: Record<string, unknown>[]
  [member: string]: unknown
}

const whole = (): Document =>
  JSON.parse(Buffer.from(formatChunkRecipe(RECIPE)).toString()) as Document

describe('a recipe', () => {
  it('is read as it was written', () => {
    expect(parseChunkRecipe(formatChunkRecipe(RECIPE), KEY)).toEqual(RECIPE)
    const empty = {
      ...RECIPE,
      layer: { ...RECIPE.layer, size: 0 },
      content: { ...RECIPE.content, size: 0 },
      chunks: [],
    }
    expect(parseChunkRecipe(formatChunkRecipe(empty), KEY)).toEqual(empty)
  })

  it('that is too long to be read is not written', () => {
    const [chunk] = RECIPE.chunks
    const most = MAX_CHUNK_RECIPE_BYTES / 160
    const chunks = Array.from({ length: most }, () => chunk!)
    expect(() => formatChunkRecipe({ ...RECIPE, chunks })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    )
  })

  it('of another layer, version or form is none', () => {
    refused({ ...whole(), v: 2 })
    refused({ ...whole(), v: undefined })
    refused({ ...whole(), layer: digest('other').slice(7) })
    refused({ ...whole(), layer: RECIPE.layer.digest })
    refused({ ...whole(), content: 'x' })
    refused({ ...whole(), chunks: {} })
    refused([])
    refused(null)
    const twice = Buffer.from(formatChunkRecipe(RECIPE)).toString().replace('{', '{"v":1,')
    expect(() => parseChunkRecipe(Buffer.from(twice), KEY)).toThrow(/twice/)
  })

  it('whose sizes are none, or contradict each other, is none', () => {
    refused({ ...whole(), size: 6 })
    refused({ ...whole(), contentSize: 29 })
    for (const [member, value] of [
      ['size', 0],
      ['size', -10],
      ['size', 10.5],
      ['size', 2 ** 24 + 1],
      ['size', '10'],
      ['frameSize', 0],
      ['frameSize', 2 ** 25],
      ['raw', 'A'.repeat(64)],
      ['frame', '../../x'],
    ] as const) {
      const document = whole()
      document.chunks[0]![member] = value
      refused(document)
    }
  })

  it('that is damaged is refused, or is another whole one', () => {
    const text = Buffer.from(formatChunkRecipe(RECIPE)).toString()
    const property = fc.property(
      fc.nat(text.length),
      fc.nat(6),
      fc.string({ maxLength: 6 }),
      (at, length, insert) => {
        const bytes = Buffer.from(text.slice(0, at) + insert + text.slice(at + length))
        try {
          const { chunks, layer, content } = parseChunkRecipe(bytes, KEY)
          expect(chunks.reduce((sum, { frameSize }) => sum + frameSize, 0)).toBe(layer.size)
          expect(chunks.reduce((sum, { size }) => sum + size, 0)).toBe(content.size)
          expect(layer.digest).toBe(RECIPE.layer.digest)
        } catch (error) {
          expect(error).toMatchObject({ code: 'INTEGRITY' })
        }
      },
    )
    fc.assert(property, { numRuns: 1000 })
  })
})
