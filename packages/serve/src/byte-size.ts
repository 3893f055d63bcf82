const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** Bytes, written as a number alone or with a unit (`50GiB`). `undefined` for anything else, and for 0. */
export function parseByteSize(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,15})([KMGT]iB)?$/.exec(text) ?? []
  const bytes = Number(digits) * (UNITS[unit] ?? 1)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}
