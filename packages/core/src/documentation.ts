/** The folder `docs` of the project: no package brings it. */
const DOCUMENTATION = 'https://github.com/s3lo/s3lo/blob/main/docs/'

/** The address of a page of the documentation, by its path below `docs`: for hints. */
export function documentationOf(page: string): string {
  return `${DOCUMENTATION}${page}`
}
