const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** The CRC32C (RFC 4960, appendix B) of the blocks together, in base64 as the service writes it. */
export function crc32c(...blocks: readonly Uint8Array[]): string {
  let value = 0xffffffff
  for (const block of blocks) {
    for (let index = 0; index < block.length; index += 1) {
      value = (value >>> 8) ^ TABLE[(value ^ block[index]!) & 0xff]!
    }
  }
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(~value >>> 0)
  return bytes.toString('base64')
}
