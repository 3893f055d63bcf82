import { escapeText } from '@s3lo/core/text'

export { escapeLines, escapeText } from '@s3lo/core/text'

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'] as const

/** `512 B`, `1.5 kB`, `58.7 MB`, `1.2 GB`: in powers of 1000, as docker has them. */
export function formatSize(bytes: number): string {
  if (bytes < 999.5) return `${Math.round(bytes)} B`
  let [value, unit] = [bytes / 1000, 0]
  // What would be rounded to 1000.0 is one of the next unit.
  for (; value >= 999.95 && unit < UNITS.length - 1; unit++) value /= 1000
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

/** `YYYY-MM-DD HH:MM:SS` in local time; a text that is no time is shown as it is. */
export function formatTime(rfc3339: string): string {
  const time = new Date(rfc3339)
  if (Number.isNaN(time.getTime())) return escapeText(rfc3339)
  const [month, day, hours, minutes, seconds] = [
    time.getMonth() + 1,
    time.getDate(),
    time.getHours(),
    time.getMinutes(),
    time.getSeconds(),
  ].map(twoDigits)
  return `${time.getFullYear()}-${month}-${day} ${hours}:${minutes}:${seconds}`
}

/** `5s`, `2m05s`, `1h02m`: how long something takes, to what is worth knowing. */
export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m${twoDigits(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h${twoDigits(Math.floor((whole % 3600) / 60))}m`
}

function twoDigits(part: number): string {
  return String(part).padStart(2, '0')
}

/** A word as a POSIX shell reads it back. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
