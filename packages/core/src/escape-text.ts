/** What a terminal would obey or hide instead of showing: controls, bidi marks, line separators, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu
const UNPRINTABLE_IN_LINES = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A name from outside, safe to show: what is not printable is spelled out. */
export function escapeText(text: string): string {
  return text.replace(UNPRINTABLE, spell)
}

/** As {@link escapeText}, for a text that has lines and tabs of its own, such as a stack or a report. */
export function escapeLines(text: string): string {
  return text.replace(UNPRINTABLE_IN_LINES, spell)
}

/**
 * A document of JSON with the same meaning, safe to show: what is not printable becomes an escape of
 * the string that it is in. Holds for YAML too, where every string is in double quotes.
 */
export function escapeJson(document: string): string {
  return document.replace(UNPRINTABLE_IN_LINES, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

function spell(character: string): string {
  const code = character.codePointAt(0) ?? 0
  const hex = code.toString(16)
  return SHORT[character] ?? (code <= 0xff ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`)
}
