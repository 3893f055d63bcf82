import { expect, it } from 'vitest'
import {
  CHUNK_FRAMES_PREFIX,
  CHUNK_RECIPES_PREFIX,
  chunkFrameKey,
  chunkRecipeKey,
  parseChunkFrameKey,
  parseChunkRecipeKey,
  rawChunkPrefix,
} from '../../src/layout/chunk-keys.ts'

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)]
const NAME = { raw: `sha256:${A}`, frame: `sha256:${B}` }

it('a chunk is named by what was cut and by what is stored, a recipe by its layer', () => {
  expect(chunkFrameKey(NAME)).toBe(`.s3lo/chunks/sha256/${A}-${B}`)
  expect(chunkFrameKey(NAME).startsWith(rawChunkPrefix(NAME.raw))).toBe(true)
  expect(chunkFrameKey(NAME).startsWith(CHUNK_FRAMES_PREFIX)).toBe(true)
  expect(chunkRecipeKey(NAME.raw)).toBe(`.s3lo/recipes/sha256/${A}`)
  expect(chunkRecipeKey(NAME.raw).startsWith(CHUNK_RECIPES_PREFIX)).toBe(true)
  expect(parseChunkFrameKey(chunkFrameKey(NAME))).toEqual(NAME)
  expect(parseChunkRecipeKey(chunkRecipeKey(NAME.raw))).toBe(NAME.raw)
})

it.each([
  `.s3lo/chunks/sha256/${A}`,
  `.s3lo/chunks/sha256/${A}-${B}x`,
  `.s3lo/chunks/sha256/${A.toUpperCase()}-${B}`,
  `.s3lo/chunks/sha512/${A}-${B}`,
  `chunks/sha256/${A}-${B}`,
  `.s3lo/recipes/sha256/${A}/x`,
  '',
])('"%s" is the name of neither', (key) => {
  expect([parseChunkFrameKey(key), parseChunkRecipeKey(key)]).toEqual([undefined, undefined])
})

it('no other digest makes a name', () => {
  for (const digest of [`sha512:${A}${A}`, A, 'sha256:../x']) {
    expect(() => chunkRecipeKey(digest)).toThrow(expect.objectContaining({ code: 'INTEGRITY' }))
  }
})
