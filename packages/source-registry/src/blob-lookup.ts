import { type Descriptor, parseDigest } from '@s3lo/core'
import { isWebPage } from '@s3lo/core/transfer'
import { parseContentLength } from './content-range.ts'
import type { RegistryAnswer, RegistryCall } from './registry-client.ts'
import { digestIn, type RepositoryAction, type RepositoryApi } from './repository-api.ts'

/** Answers to a look-up that leave the blob to be sent: some registries know no `HEAD`. */
const NOT_THERE = [404, 405, 501]

/** True when the repository has a blob of this digest and, as far as it says, of this size. */
export async function hasBlob(
  api: RepositoryApi,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  action: RepositoryAction,
  ask: (call: RegistryCall) => Promise<RegistryAnswer>,
): Promise<boolean> {
  parseDigest(digest)
  const { status, headers } = await ask({
    method: 'HEAD',
    to: api.path(`blobs/${digest}`),
    what: api.nameOf({ digest }),
    scopes: api.scopes(action),
    expect: [200, ...NOT_THERE],
  })
  // A page of a proxy says nothing of the blob.
  if (status !== 200 || isWebPage(headers.get('content-type'))) return false
  const length = parseContentLength(headers.get('content-length'))
  // A success that says nothing of a blob may be anybody's: what is sent again is not lost.
  return length === undefined ? digestIn(headers) === digest : length === size
}
