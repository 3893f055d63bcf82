import { describe, expect, it } from 'vitest'
import {
  isUploadId,
  MAX_UPLOAD_OFFSET,
  offsetKey,
  offsetsPrefix,
  parseUploadKey,
  pieceKey,
  sessionKey,
  uploadPrefix,
  UPLOADS_PREFIX,
} from '../../src/layout/upload-keys.ts'

const ID = '0123456789abcdef'.repeat(2)
const PIECE = 'f'.repeat(32)

describe('the keys of an upload', () => {
  it('are read back as they were written', () => {
    expect(parseUploadKey(sessionKey(ID))).toEqual({ kind: 'session', id: ID })
    expect(parseUploadKey(pieceKey(ID, PIECE))).toEqual({ kind: 'piece', id: ID, piece: PIECE })
    for (const offset of [0, 1, 6 * 1024 ** 3, MAX_UPLOAD_OFFSET]) {
      const key = offsetKey(ID, offset)
      expect(parseUploadKey(key)).toEqual({ kind: 'offset', id: ID, offset })
      expect(key.startsWith(offsetsPrefix(ID))).toBe(true)
    }
  })

  it('have the offsets first, in their order, and the session last', () => {
    const offsets = [0, 9, 10, 100, MAX_UPLOAD_OFFSET].map((offset) => offsetKey(ID, offset))
    const keys = [...offsets, pieceKey(ID, PIECE), sessionKey(ID)]
    expect(keys.toSorted()).toEqual(keys)
  })

  it.each([
    'blobs/sha256/x',
    UPLOADS_PREFIX,
    uploadPrefix(ID),
    `${uploadPrefix(ID)}notes.txt`,
    `${uploadPrefix(ID)}1000000000000000.json`,
    `${uploadPrefix(ID)}000000000000000.json`,
    `${uploadPrefix(ID)}pieces/../${PIECE}`,
    `${uploadPrefix(ID)}pieces/${PIECE}/x`,
    sessionKey('..'),
    sessionKey(ID.toUpperCase()),
  ])('do not include %s', (key) => {
    expect(parseUploadKey(key)).toBeUndefined()
  })

  it('begin with an id that is 32 hex digits and nothing else', () => {
    expect(isUploadId(ID)).toBe(true)
    for (const id of ['', '..', `${ID}0`, `${ID}\n`, ID.toUpperCase(), ID.slice(1)]) {
      expect(isUploadId(id)).toBe(false)
    }
  })
})
