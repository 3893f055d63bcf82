import { S3loError } from '../errors.ts'
import type { CallSettings } from './requests.ts'

/** A page of a listing. */
export interface Page<T> {
  readonly items: readonly T[]
  /** What the next page is asked for with; `undefined` or empty on the last page only. */
  readonly next: string | undefined
  /** The page has items of another kind, which are passed over. */
  readonly hasOthers?: boolean
}

/** A service may send pages of which everything was deleted; so many of them are no listing. */
const MOST_EMPTY_PAGES = 1000

/**
 * The items of all pages. A page is asked for when it is read that far. A page that leads to itself,
 * and pages without an item that do not come to an end, throw `UNAVAILABLE`.
 */
export async function* followPages<T>(
  { what, signal }: CallSettings,
  readPage: (token: string | undefined) => Promise<Page<T>>,
): AsyncGenerator<T, void> {
  let token: string | undefined
  let empty = 0
  do {
    signal?.throwIfAborted()
    const { items, next, hasOthers } = await readPage(token)
    empty = items.length > 0 || hasOthers ? 0 : empty + 1
    if (next && (next === token || empty >= MOST_EMPTY_PAGES)) {
      throw new S3loError('UNAVAILABLE', `${what}: the listing does not come to an end`, {
        hint: 'check the endpoint',
      })
    }
    yield* items
    token = next
  } while (token)
}
