/** The path of an archive: `docker-archive:PATH[:NAME]`. */
const ARCHIVE = /^[a-z][a-z0-9.+]*-archive:(?<path>[^:]*)/

/** True for an image end that is an archive on standard output, which then carries nothing else. */
export async function isArchiveOnStandardOutput(end: string | undefined): Promise<boolean> {
  const path = end === undefined ? undefined : ARCHIVE.exec(end)?.groups?.['path']
  if (path === undefined) return false
  const { isStandardOutput } = await import('@s3lo/core')
  return isStandardOutput(path)
}
