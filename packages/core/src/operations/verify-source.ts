import { readManifest } from '../graph/read-manifest.ts'
import type { SourceEnd, TransferRequest } from '../graph/transfer-request.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { OperationOptions, VerifyOptions } from './options.ts'

/** What a transfer has to check, so that exactly the verified manifest is moved. */
export function verification(
  from: SourceEnd,
  { verifySource }: VerifyOptions,
): Pick<TransferRequest, 'verify'> {
  return verifySource ? { verify: (root) => verifySource(root, from) } : {}
}

/** Verifies an image that need not be moved, where it would have come from. */
export async function verifyPresent(
  from: SourceEnd,
  root: Descriptor,
  { verifySource, signal }: VerifyOptions & OperationOptions,
): Promise<void> {
  if (!verifySource || from.source.kind === 'streaming') return
  const document = await readManifest(from.source, root, { signal })
  await verifySource(document, from)
}

/** The part of a result that names what was verified. */
export function verifiedDigest(
  { digest }: Descriptor,
  { verifySource }: VerifyOptions,
): { readonly verified_digest?: string } {
  return verifySource ? { verified_digest: digest } : {}
}
