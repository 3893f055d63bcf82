import { S3loError } from '@s3lo/core/plugin'
import { decodeBase64 } from '../base64.ts'

/** The first block of a PEM text. */
export interface PemBlock {
  /** What stands after BEGIN: `PUBLIC KEY`. */
  readonly label: string
  /** The block alone, with its frame. */
  readonly text: string
  readonly der: Uint8Array
}

/** The longest text that is read as a key (characters): an RSA key of 8192 bits is a tenth of it. */
export const MAX_PEM = 64 * 1024

const BLOCK =
  /-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([A-Za-z0-9+/=\r\n]{1,65536}?)\r?\n?-----END \1-----/

/** Reads the first block of a PEM text (RFC 7468). Throws `USAGE` naming `what`. */
export function parsePem(pem: string, what: string): PemBlock {
  const block = pem.length > MAX_PEM ? undefined : BLOCK.exec(pem)
  const [text = '', label = '', body = ''] = block ?? []
  const der = decodeBase64(body.replaceAll(/[\r\n]/g, ''))
  if (block && der) return { label, text, der }
  throw new S3loError('USAGE', `${what} is no key: there is no PEM block in it`, {
    hint: 's3lo generate-key-pair makes cosign.key and cosign.pub',
  })
}

/** Writes a PEM text of one block, 64 characters a line. */
export function formatPem(label: string, content: Uint8Array): string {
  const lines =
    Buffer.from(content)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
