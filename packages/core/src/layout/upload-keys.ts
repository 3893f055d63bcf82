import { OWN_PREFIX } from './keys.ts'

/** The names of an upload in progress: bytes that a client sends in pieces, before their digest is known. */

export const UPLOADS_PREFIX = `${OWN_PREFIX}uploads/`

/** What a key of an upload is. */
export type UploadKey = { readonly id: string } & (
  | { readonly kind: 'session' }
  | { readonly kind: 'piece'; readonly piece: string }
  /** Says which piece begins at `offset` (bytes). */
  | { readonly kind: 'offset'; readonly offset: number }
)

/** The largest place in an upload (bytes), so that offsets sort before everything else of it. */
export const MAX_UPLOAD_OFFSET = 10 ** 15 - 1

const ID = '[0-9a-f]{32}'

/** True for the id of an upload, or of a piece: 32 lower-case hex digits. */
export function isUploadId(text: string): boolean {
  return new RegExp(`^${ID}$`).test(text)
}

/** The prefix of everything of an upload; its offsets come first. */
export function uploadPrefix(id: string): string {
  return `${UPLOADS_PREFIX}${id}/`
}

/** The prefix of the offsets of an upload, in their order. */
export function offsetsPrefix(id: string): string {
  return `${uploadPrefix(id)}0`
}

export function sessionKey(id: string): string {
  return `${uploadPrefix(id)}session.json`
}

/** `piece`: 32 lower-case hex digits. */
export function pieceKey(id: string, piece: string): string {
  return `${uploadPrefix(id)}pieces/${piece}`
}

/** `offset`: not above {@link MAX_UPLOAD_OFFSET}. */
export function offsetKey(id: string, offset: number): string {
  return `${uploadPrefix(id)}${String(offset).padStart(16, '0')}.json`
}

const KEY = new RegExp(String.raw`^(${ID})/(?:(session\.json)|pieces/(${ID})|(0\d{15})\.json)$`)

/** What a key below {@link UPLOADS_PREFIX} is; `undefined` for one that s3lo does not write. */
export function parseUploadKey(key: string): UploadKey | undefined {
  if (!key.startsWith(UPLOADS_PREFIX)) return undefined
  const [, id = '', session, piece, offset] = KEY.exec(key.slice(UPLOADS_PREFIX.length)) ?? []
  if (session !== undefined) return { kind: 'session', id }
  if (piece !== undefined) return { kind: 'piece', id, piece }
  return offset === undefined ? undefined : { kind: 'offset', id, offset: Number(offset) }
}
