import { Refusal } from '../answer/error.ts'

/** The window of a list that a client asks for. */
export interface PageRequest {
  /** As many entries as it wants; absent where it does not say. */
  readonly n?: number
  /** Only what follows this entry. */
  readonly last?: string
}

/** Reads `n` and `last` (distribution spec v1.1.1, "listing tags"). Throws a refusal for an `n` that is no number. */
export function parsePage(query: URLSearchParams): PageRequest {
  const n = query.get('n')
  const last = query.get('last')
  if (n !== null && n !== '' && !/^\d{1,15}$/.test(n)) {
    throw new Refusal('UNSUPPORTED', 'n is not a number of entries', { status: 400 })
  }
  return {
    ...(n === null || n === '' ? {} : { n: Number(n) }),
    ...(last === null || last === '' ? {} : { last }),
  }
}

/** The Link header of a page that is not the last one. `parameters` are of the next page. */
export function nextLink(path: string, parameters: Readonly<Record<string, string>>): string {
  return `<${path}?${new URLSearchParams(parameters).toString()}>; rel="next"`
}
