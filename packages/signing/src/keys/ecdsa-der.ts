import { S3loError } from '@s3lo/core/plugin'

/**
 * Writes an ECDSA signature of two numbers side by side (IEEE P1363) as records have it
 * (`ECDSA-Sig-Value`, RFC 3279, 2.2.3). Throws `INTEGRITY` for another length than a curve's.
 */
export function ecdsaToDer(signature: Uint8Array): Uint8Array {
  const half = signature.byteLength / 2
  if (![32, 48, 66].includes(half)) {
    throw new S3loError(
      'INTEGRITY',
      `an ECDSA signature does not have ${signature.byteLength} bytes`,
    )
  }
  const content = Buffer.concat([
    integer(signature.subarray(0, half)),
    integer(signature.subarray(half)),
  ])
  return Buffer.concat([header(0x30, content.byteLength), content])
}

/** Without leading zeros, but with one where the number would read as negative. */
function integer(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first < 0 ? bytes.subarray(-1) : bytes.subarray(first)
  const padded = (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits
  return Buffer.concat([header(0x02, padded.byteLength), padded])
}

function header(tag: number, length: number): Uint8Array {
  return length < 0x80 ? Buffer.of(tag, length) : Buffer.of(tag, 0x81, length)
}
