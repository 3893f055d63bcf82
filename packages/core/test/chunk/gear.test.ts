import { expect, it } from 'vitest'
import { gearTable } from '../../src/chunk/gear.ts'
import { sha256 } from './golden.ts'

it('the numbers of the bytes are those of the Go program', () => {
  const table = gearTable()
  const hex = (entry: number): string => table[entry]!.toString(16).padStart(16, '0')
  expect([0, 1, 2, 3, 97, 127, 128, 254, 255].map(hex)).toEqual([
    '6e789e6aa1b965f4',
    '06c45d188009454f',
    'f88bb8a8724c81ec',
    '1b39896a51a8749b',
    'dc4c613d9eba2304',
    '9899202fd20f0841',
    'e9c7191857e774b8',
    '5a5832bb47bcf19e',
    'cbdc6d34b7c7534d',
  ])
  expect(table.reduce((all, entry) => all ^ entry, 0n)).toBe(0xda88_2dac_4a8c_869fn)
  expect(sha256(new Uint8Array(table.buffer))).toBe(
    'd29093e6712e90f0bc37a7f04c5354412a53527b1c94cba195bdba6a7158a4d1',
  )
})
