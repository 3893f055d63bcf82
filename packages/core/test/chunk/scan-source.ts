/**
 * The source of the module in `src/chunk/scan-module.ts`, which `pnpm vitest` holds against it. In the
 * text format of WebAssembly:
 *
 *     (module
 *       (import "" "memory" (memory 1))
 *       (global $hash (export "hash") (mut i64) (i64.const 0))
 *       ;; Hashes the bytes from $at up to $end; where one ends a chunk, the place after it, else 0.
 *       (func (export "scan") (param $at i32) (param $end i32) (param $mask i64) (result i32)
 *         (local $h i64)
 *         (local.set $h (global.get $hash))
 *         (block $out
 *           (loop $next
 *             (br_if $out (i32.ge_u (local.get $at) (local.get $end)))
 *             (local.set $h (i64.add
 *               (i64.shl (local.get $h) (i64.const 1))
 *               (i64.load (i32.shl (i32.load8_u (local.get $at)) (i32.const 3)))))
 *             (local.set $at (i32.add (local.get $at) (i32.const 1)))
 *             (br_if $next (i64.ne (i64.and (local.get $h) (local.get $mask)) (i64.const 0)))
 *             (global.set $hash (local.get $h))
 *             (return (local.get $at))))
 *         (global.set $hash (local.get $h))
 *         (i32.const 0)))
 *
 * The table of gear numbers is the first 2048 bytes of the memory.
 */

const I32 = 0x7f
const I64 = 0x7e
const [AT, END, MASK, H] = [0, 1, 2, 3]

const local = {
  get: (index: number): number[] => [0x20, index],
  set: (index: number): number[] => [0x21, index],
}
const global = { get: [0x23, 0], set: [0x24, 0] }
const i32 = {
  const: (value: number): number[] => [0x41, value],
  load8: [0x2d, 0, 0],
  geU: [0x4f],
  add: [0x6a],
  shl: [0x74],
}
const i64 = {
  const: (value: number): number[] => [0x42, value],
  load: [0x29, 3, 0],
  ne: [0x52],
  add: [0x7c],
  and: [0x83],
  shl: [0x86],
}
/** Of version 1. */
const MAGIC = [0x00, ...Buffer.from('asm'), 1, 0, 0, 0]
const BLOCK = [0x02, 0x40]
const LOOP = [0x03, 0x40]
const OUT = [0x0d, 1]
const NEXT = [0x0d, 0]
const RETURN = [0x0f]
const END_OF_BLOCK = [0x0b]

const CODE = [
  [global.get, local.set(H)],
  [BLOCK, LOOP],
  [local.get(AT), local.get(END), i32.geU, OUT],
  [local.get(H), i64.const(1), i64.shl],
  [local.get(AT), i32.load8, i32.const(3), i32.shl, i64.load],
  [i64.add, local.set(H)],
  [local.get(AT), i32.const(1), i32.add, local.set(AT)],
  [local.get(H), local.get(MASK), i64.and, i64.const(0), i64.ne, NEXT],
  [local.get(H), global.set, local.get(AT), RETURN],
  [END_OF_BLOCK, END_OF_BLOCK],
  [local.get(H), global.set, i32.const(0)],
  [END_OF_BLOCK],
].flat(2)

/** No length here needs more than one byte, or the module is another one. */
function sized(bytes: readonly number[]): number[] {
  if (bytes.length > 127) throw new Error(`expected at most 127 bytes, got ${bytes.length}`)
  return [bytes.length, ...bytes]
}

function section(id: number, ...entries: readonly (readonly number[])[]): number[] {
  return [id, ...sized([entries.length, ...entries.flat()])]
}

function named(name: string): number[] {
  return sized([...Buffer.from(name)])
}

/** The module, as WebAssembly 1.0 has it. */
export function assembleScan(): Uint8Array {
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, [0x60, ...sized([I32, I32, I64]), ...sized([I32])]),
    ...section(2, [...named(''), ...named('memory'), 0x02, 0x00, 1]),
    ...section(3, [0]),
    ...section(6, [I64, 0x01, ...i64.const(0), ...END_OF_BLOCK]),
    ...section(7, [...named('hash'), 0x03, 0], [...named('scan'), 0x00, 0]),
    // One group of locals: one of i64.
    ...section(10, sized([1, 1, I64, ...CODE])),
  ])
}
