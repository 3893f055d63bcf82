import { padEnd } from './width.ts'

export type Column = readonly [title: string, width?: number]

/** Rows of cells below their titles; `dashes` is the length of the line between the two. */
export function renderTable(
  columns: readonly Column[],
  dashes: number,
  rows: readonly (readonly string[])[],
): string {
  const toLine = (cells: readonly string[]): string =>
    cells.map((cell, i) => padEnd(cell, columns[i]?.[1] ?? 0)).join('  ')
  const header = toLine(columns.map(([title]) => title))
  return [header, '-'.repeat(dashes), ...rows.map(toLine), ''].join('\n')
}
