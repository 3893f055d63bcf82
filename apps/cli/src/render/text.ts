import { escapeText } from '@s3lo/core/plugin'

export { escapeLines, escapeText } from '@s3lo/core/plugin'

const KIB = 1024

/** `512 B`, `1.5 KB`, `58.7 MB`, `1.2 GB`: in powers of 1024. */
export function formatSize(bytes: number): string {
  if (bytes < KIB) return `${Math.round(bytes)} B`
  if (bytes < KIB ** 2) return `${(bytes / KIB).toFixed(1)} KB`
  if (bytes < KIB ** 3) return `${(bytes / KIB ** 2).toFixed(1)} MB`
  return `${(bytes / KIB ** 3).toFixed(1)} GB`
}

/** `58.70 MB`: the one size of `inspect`, as the Go program shows it. */
export function formatMegabytes(bytes: number): string {
  return `${(bytes / KIB ** 2).toFixed(2)} MB`
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

/** The first 19 characters of a digest and an ellipsis. */
export function shortDigest(digest: string): string {
  return `${escapeText(digest.slice(0, 19))}...`
}

/** A word as a POSIX shell reads it back. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
