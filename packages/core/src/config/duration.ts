import { S3loError } from '../errors.ts'

/** Nanoseconds of each unit that a Go duration may have. */
const UNIT: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n, // U+00B5, micro sign
  μs: 1_000n, // U+03BC, Greek mu
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

const DAY = 24n * 3_600_000_000_000n

/** The longest duration the Go program can hold, about 292 years, in nanoseconds. */
const MAX = 2n ** 63n - 1n

/** One number with its unit: `1.5h`. */
const PART = /(?<whole>\d*)(?:\.(?<fraction>\d*))?(?<unit>ns|us|µs|μs|ms|s|m|h)/y

/**
 * Milliseconds of a lifecycle duration: whole days (`90d`) or a Go duration (`1h30m`), either with
 * a sign. Throws `USAGE` for any other text, and for more than the Go program can hold.
 */
export function parseDuration(text: string): number {
  const [, sign = '', rest = ''] = /^([-+]?)(.*)$/s.exec(text) ?? []
  const nanoseconds = rest.endsWith('d') ? parseDays(rest.slice(0, -1)) : parseParts(rest)
  const limit = sign === '-' ? MAX + 1n : MAX
  if (nanoseconds === undefined || nanoseconds > limit) throw notDuration(text)
  // Whole milliseconds by themselves: nanoseconds of a year and more do not fit a double exactly.
  const milliseconds = Number(nanoseconds / 1_000_000n) + Number(nanoseconds % 1_000_000n) / 1e6
  return sign === '-' && milliseconds > 0 ? -milliseconds : milliseconds
}

/** The shortest text that {@link parseDuration} reads back as these milliseconds (to the nanosecond). */
export function formatDuration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) {
    throw new S3loError('INTERNAL', `${milliseconds} is not a number of milliseconds`)
  }
  const magnitude = Math.abs(milliseconds)
  const whole = Math.trunc(magnitude)
  const nanoseconds = BigInt(whole) * 1_000_000n + BigInt(Math.round((magnitude - whole) * 1e6))
  return nanoseconds === 0n ? '0s' : `${milliseconds < 0 ? '-' : ''}${formatParts(nanoseconds)}`
}

function notDuration(text: string): S3loError {
  const shown = JSON.stringify(text.slice(0, 80))
  return new S3loError('USAGE', `${shown} is not a duration of at most 292 years`, {
    hint: 'durations are whole days such as 90d, or hours, minutes and seconds such as 1h30m',
  })
}

function parseDays(digits: string): bigint | undefined {
  const days = toInteger(digits)
  return days === undefined || digits === '' ? undefined : days * DAY
}

/** As Go's time.ParseDuration: one or more numbers with units, or a bare zero. */
function parseParts(text: string): bigint | undefined {
  if (text === '0') return 0n
  if (text === '') return undefined
  let total = 0n
  for (let position = 0; position < text.length; position = PART.lastIndex) {
    PART.lastIndex = position
    const { whole = '', fraction = '', unit = '' } = PART.exec(text)?.groups ?? {}
    const factor = UNIT[unit]
    const count = toInteger(whole)
    if (factor === undefined || count === undefined || whole + fraction === '') return undefined
    total += count * factor + toFraction(fraction, factor)
    if (total > MAX + 1n) return undefined
  }
  return total
}

/** Digits as a number; more of them than any duration has are none, which also bounds the work. */
function toInteger(digits: string): bigint | undefined {
  const significant = digits.replace(/^0+/, '')
  return /^\d{0,19}$/.test(significant) ? BigInt(significant) : undefined
}

/** The part of a unit that decimals name, cut to whole nanoseconds; an hour has 13 digits of them. */
function toFraction(digits: string, factor: bigint): bigint {
  const used = digits.slice(0, 18)
  return (BigInt(used) * factor) / 10n ** BigInt(used.length)
}

function formatParts(nanoseconds: bigint): string {
  if (nanoseconds % DAY === 0n) return `${nanoseconds / DAY}d`
  if (nanoseconds < 1_000_000_000n) return `${decimal(nanoseconds, 1_000_000n)}ms`
  const { h: hour = 1n, m: minute = 1n, s: second = 1n } = UNIT
  const hours = nanoseconds / hour
  const minutes = (nanoseconds % hour) / minute
  const rest = nanoseconds % minute
  return [
    hours > 0n ? `${hours}h` : '',
    minutes > 0n ? `${minutes}m` : '',
    rest > 0n ? `${decimal(rest, second)}s` : '',
  ].join('')
}

/** A count of a unit (a power of ten) with as many decimals as it needs. */
function decimal(nanoseconds: bigint, unit: bigint): string {
  const digits = String(unit).length - 1
  const fraction = String(nanoseconds % unit)
    .padStart(digits, '0')
    .replace(/0+$/, '')
  return fraction === '' ? `${nanoseconds / unit}` : `${nanoseconds / unit}.${fraction}`
}
