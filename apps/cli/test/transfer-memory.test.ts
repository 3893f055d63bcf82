import { expect, it } from 'vitest'
import { createTransferCollector } from '../src/transfer-memory.ts'

const CHUNK = 64 * 1024
const MIB = 1024 * 1024

it('keeps what a transfer leaves behind far below what passes', () => {
  const collect = createTransferCollector()
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let passed = 0; passed < 512 * MIB; passed += CHUNK) {
    collect(Buffer.allocUnsafeSlow(CHUNK).byteLength)
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  expect(most).toBeLessThan(48 * MIB)
})
