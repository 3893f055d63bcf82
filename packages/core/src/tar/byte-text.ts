declare const brand: unique symbol

/**
 * Bytes of a tar field as a string of one character per byte (latin1): names in a tar are bytes,
 * not always UTF-8, and a digest depends on each. To show one, use {@link decodeText}.
 */
export type ByteText = string & { readonly [brand]: 'bytes' }

/** The bytes, one character each. */
export function byteText(bytes: Uint8Array): ByteText {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return view.toString('latin1') as ByteText
}

/** The UTF-8 bytes of a text, to look a name up. */
export function encodeText(text: string): ByteText {
  return byteText(Buffer.from(text, 'utf8'))
}

/** The text for a reader: what is not UTF-8 becomes U+FFFD. */
export function decodeText(text: ByteText): string {
  return Buffer.from(text, 'latin1').toString('utf8')
}

/** The bytes again. */
export function bytesOf(text: ByteText): Buffer {
  return Buffer.from(text, 'latin1')
}
