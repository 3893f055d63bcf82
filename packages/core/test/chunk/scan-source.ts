/**
 * The source of the module in `src/chunk/scan-module.ts`, which `pnpm vitest` holds against it. In the
 * text format of WebAssembly, with what a lane does with a byte as `step`:
 *
 *     (module
 *       (import "" "memory" (memory 1))
 *       (global $hash (export "hash") (mut i64) (i64.const 0))
 *       ;; Hashes the bytes from $at up to $end; where one ends a chunk, the place after it, else 0.
 *       (func (export "scan") (param $at i32) (param $end i32) (param $mask i64) (result i32)
 *         (local $p i32) (local $stop i32) (local $h0 i64) (local $h1 i64) (local $h2 i64) (local $h3 i64)
 *         (local.set $h0 (global.get $hash))
 *         (block $ended
 *           ;; A block of four lanes at a time. One in which a chunk ends is left to the loop below.
 *           (loop $block
 *             (br_if $ended (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 8192)))
 *             ;; The hash is of the 64 bytes before: the other lanes begin with those.
 *             (local.set $h1 (i64.const 0)) (local.set $h2 (i64.const 0)) (local.set $h3 (i64.const 0))
 *             (local.set $stop (i32.add (local.tee $p (local.get $at)) (i32.const 64)))
 *             (loop $before
 *               step($h1, 2048 - 64) step($h2, 2 * 2048 - 64) step($h3, 3 * 2048 - 64)
 *               (br_if $before (i32.ne
 *                 (local.tee $p (i32.add (local.get $p) (i32.const 1)))
 *                 (local.get $stop))))
 *             (local.set $stop (i32.add (local.tee $p (local.get $at)) (i32.const 2048)))
 *             (loop $lanes
 *               ;; For both of two bytes.
 *               step($h0, 0)        (br_if $ended (i64.eqz (i64.and (local.get $h0) (local.get $mask))))
 *               step($h1, 2048)     (br_if $ended (i64.eqz (i64.and (local.get $h1) (local.get $mask))))
 *               step($h2, 2 * 2048) (br_if $ended (i64.eqz (i64.and (local.get $h2) (local.get $mask))))
 *               step($h3, 3 * 2048) (br_if $ended (i64.eqz (i64.and (local.get $h3) (local.get $mask))))
 *               (br_if $lanes (i32.ne
 *                 (local.tee $p (i32.add (local.get $p) (i32.const 2)))
 *                 (local.get $stop))))
 *             (global.set $hash (local.tee $h0 (local.get $h3)))
 *             (local.set $at (i32.add (local.get $at) (i32.const 8192)))
 *             (br $block)))
 *         (local.set $h0 (global.get $hash))
 *         (local.set $p (local.get $at))
 *         (block $out
 *           (loop $next
 *             (br_if $out (i32.ge_u (local.get $p) (local.get $end)))
 *             step($h0, 0)
 *             (local.set $p (i32.add (local.get $p) (i32.const 1)))
 *             (br_if $next (i64.ne (i64.and (local.get $h0) (local.get $mask)) (i64.const 0)))
 *             (global.set $hash (local.get $h0))
 *             (return (local.get $p))))
 *         (global.set $hash (local.get $h0))
 *         (i32.const 0)))
 *
 * step($h, offset) is
 *
 *     (local.set $h (i64.add
 *       (i64.shl (local.get $h) (i64.const 1))
 *       (i64.load (i32.shl (i32.load8_u offset=offset (local.get $p)) (i32.const 3)))))
 *
 * The table of gear numbers is the first 2048 bytes of the memory.
 */

type Code = readonly number[]

const I32 = 0x7f
const I64 = 0x7e
const [AT, END, MASK, P, STOP, H0] = [0, 1, 2, 3, 4, 5]

const LANES = 4
const LANE_BYTES = 2048
const BLOCK_BYTES = LANES * LANE_BYTES
/** A byte has left the hash, of 64 bits, after as many others. */
const HASHED_BYTES = 64
/** Of each lane, in one turn of the loop. */
const TURN_BYTES = 2

const local = {
  get: (index: number): Code => [0x20, index],
  set: (index: number): Code => [0x21, index],
  tee: (index: number): Code => [0x22, index],
}
const global = { get: [0x23, 0], set: [0x24, 0] }
const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load8: (offset: number): Code => [0x2d, 0, ...unsigned(offset)],
  ne: [0x47],
  ltU: [0x49],
  geU: [0x4f],
  add: [0x6a],
  sub: [0x6b],
  shl: [0x74],
}
const i64 = {
  const: (value: number): Code => [0x42, ...signed(value)],
  load: [0x29, 3, 0],
  eqz: [0x50],
  ne: [0x52],
  add: [0x7c],
  and: [0x83],
  shl: [0x86],
}
/** Of version 1. */
const MAGIC = [0x00, ...Buffer.from('asm'), 1, 0, 0, 0]
const BLOCK = [0x02, 0x40]
const LOOP = [0x03, 0x40]
/** To a block or loop that so many others lie within. */
const br = (depth: number): Code => [0x0c, depth]
const brIf = (depth: number): Code => [0x0d, depth]
const RETURN = [0x0f]
const END_OF_BLOCK = [0x0b]

const lane = (index: number): number => H0 + index
const lanes = (from: number): number[] => Array.from({ length: LANES - from }, (_, i) => from + i)

function step(index: number, offset: number): Code {
  return [
    [...local.get(lane(index)), ...i64.const(1), ...i64.shl],
    [...local.get(P), ...i32.load8(offset), ...i32.const(3), ...i32.shl, ...i64.load],
    [...i64.add, ...local.set(lane(index))],
  ].flat()
}

/** $p and $stop, for a loop over that many bytes. */
function begin(bytes: number): Code {
  return [
    [...local.get(AT), ...local.tee(P)],
    [...i32.const(bytes), ...i32.add, ...local.set(STOP)],
  ].flat()
}

/** On to the next turn of a loop, unless it has ended. */
function again(bytes: number): Code {
  const moved = [...local.get(P), ...i32.const(bytes), ...i32.add, ...local.tee(P)]
  return [...moved, ...local.get(STOP), ...i32.ne, ...brIf(0)]
}

const masked = (index: number): Code => [...local.get(lane(index)), ...local.get(MASK), ...i64.and]

const LANES_CODE = [
  BLOCK,
  LOOP,
  [...local.get(END), ...local.get(AT), ...i32.sub, ...i32.const(BLOCK_BYTES), ...i32.ltU],
  brIf(1),
  ...lanes(1).map((i) => [...i64.const(0), ...local.set(lane(i))]),
  [...begin(HASHED_BYTES), ...LOOP],
  ...lanes(1).map((i) => step(i, i * LANE_BYTES - HASHED_BYTES)),
  [...again(1), ...END_OF_BLOCK],
  [...begin(LANE_BYTES), ...LOOP],
  ...Array.from({ length: TURN_BYTES }, (_, byte) =>
    lanes(0).flatMap((i) => [
      ...step(i, i * LANE_BYTES + byte),
      ...masked(i),
      ...i64.eqz,
      ...brIf(2),
    ]),
  ),
  [...again(TURN_BYTES), ...END_OF_BLOCK],
  [...local.get(lane(LANES - 1)), ...local.tee(H0), ...global.set],
  [...local.get(AT), ...i32.const(BLOCK_BYTES), ...i32.add, ...local.set(AT)],
  [...br(0), ...END_OF_BLOCK, ...END_OF_BLOCK],
]

const BYTES_CODE = [
  [...global.get, ...local.set(H0), ...local.get(AT), ...local.set(P)],
  [...BLOCK, ...LOOP],
  [...local.get(P), ...local.get(END), ...i32.geU, ...brIf(1)],
  step(0, 0),
  [...local.get(P), ...i32.const(1), ...i32.add, ...local.set(P)],
  [...masked(0), ...i64.const(0), ...i64.ne, ...brIf(0)],
  [...local.get(H0), ...global.set, ...local.get(P), ...RETURN],
  [...END_OF_BLOCK, ...END_OF_BLOCK],
  [...local.get(H0), ...global.set, ...i32.const(0)],
]

const CODE = [[...global.get, ...local.set(H0)], ...LANES_CODE, ...BYTES_CODE, END_OF_BLOCK].flat()

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >> 7)]
}

/** LEB128 of a number that is not negative: the sixth bit of the last byte would be its sign. */
function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >> 7)]
}

function sized(bytes: Code): number[] {
  return [...unsigned(bytes.length), ...bytes]
}

function section(id: number, ...entries: readonly Code[]): number[] {
  return [id, ...sized([...unsigned(entries.length), ...entries.flat()])]
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
    // Two groups of locals.
    ...section(10, sized([2, 2, I32, LANES, I64, ...CODE])),
  ])
}
