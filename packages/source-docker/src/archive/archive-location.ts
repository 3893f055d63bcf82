import { S3loError } from '@s3lo/core'

/** A path and what follows it in a reference: `FILE[:ref]`, `DIR[:tag]`. */
export interface ArchiveLocation {
  readonly path: string
  readonly name: string | undefined
}

/** Splits at the first colon, as skopeo does; the colon of a Windows drive is none. Throws `USAGE`. */
export function parseArchiveLocation(text: string, transport: string): ArchiveLocation {
  const drive = process.platform === 'win32' && /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0
  const colon = text.indexOf(':', drive)
  const path = colon < 0 ? text : text.slice(0, colon)
  const name = colon < 0 ? undefined : text.slice(colon + 1)
  if (path !== '' && !path.includes('\0') && name !== '') return { path, name }
  throw new S3loError('USAGE', `${transport}:${text} names no ${path === '' ? 'file' : 'image'}`, {
    hint: `write ${transport}:PATH or ${transport}:PATH:NAME`,
  })
}
