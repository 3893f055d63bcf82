import { expect, it } from 'vitest'
import { BoundaryScanner, SCAN_MODULE } from '../../src/chunk/scan-module.ts'
import { assembleScan } from './scan-source.ts'

it('the module is what its source assembles to', () => {
  const module = assembleScan()
  expect(Buffer.from(module).toString('base64')).toBe(SCAN_MODULE)
  expect(module.length).toBeLessThan(160)
})

it('a scanner continues where it was, and begins anew only when it is told', () => {
  const [whole, halves] = [new BoundaryScanner(4096), new BoundaryScanner(4096)]
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251)
  for (const scanner of [whole, halves]) scanner.window.set(bytes)
  const places = (...steps: readonly (readonly [number, number])[]): number[] =>
    steps.map(([at, end]) => halves.scan(at, end))
  expect(whole.scan(0, 4096)).toBe(0)
  expect(places([0, 1], [1, 1000], [1000, 4096])).toEqual([0, 0, 0])
  expect(places([5, 5], [9, 5])).toEqual([0, 0])
})
