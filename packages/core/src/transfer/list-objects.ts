import type { ObjectInfo } from '../contract/storage-backend.ts'
import { S3loError } from '../errors.ts'
import { byUtf8 } from '../layout/key-order.ts'
import type { ListPage, ListQuery } from './network-service.ts'
import { followPages, type Page } from './pages.ts'
import { toThrown } from './requests.ts'
import type { ServiceCalls } from './service-calls.ts'
import { inKeyOrder } from './utf16-order.ts'

/** What is listed. */
export interface ListObjectsOptions extends Pick<ListQuery, 'prefix' | 'startAfter'> {
  readonly signal?: AbortSignal | undefined
}

/** The objects below a prefix, in key order. */
export async function* listObjects(
  calls: ServiceCalls,
  options: ListObjectsOptions,
): AsyncGenerator<ObjectInfo, void> {
  const { startAfter } = options
  const toPage = ({ objects, folders, next, hasOthers }: ListPage): Page<ObjectInfo> => {
    return { items: objects, next, hasOthers: hasOthers || folders.length > 0 }
  }
  for await (const info of listed(calls, options, false, toPage, ({ key }) => key)) {
    // A service that ignores where to start would give what was not asked for.
    if (startAfter === undefined || byUtf8(info.key, startAfter) > 0) yield info
  }
}

/** The folders just below a prefix, in key order. */
export async function* listFolders(
  calls: ServiceCalls,
  options: ListObjectsOptions,
): AsyncGenerator<string, void> {
  const toPage = ({ objects, folders, next, hasOthers }: ListPage): Page<string> => {
    return { items: folders, next, hasOthers: hasOthers || objects.length > 0 }
  }
  yield* listed(calls, options, true, toPage, (name) => name)
}

/**
 * The entries of all pages, in key order. An entry that is not below the prefix, or comes after one
 * that it has to precede, throws `UNSUPPORTED`: a merge of two lists would lose names.
 */
async function* listed<T>(
  calls: ServiceCalls,
  { prefix, startAfter, signal }: ListObjectsOptions,
  isShallow: boolean,
  toPage: (page: ListPage) => Page<T>,
  nameOf: (entry: T) => string,
): AsyncGenerator<T, void> {
  const { service } = calls
  const settings = calls.about(prefix, signal)
  const pages = followPages(settings, async (token) => {
    const query = { prefix, startAfter, isShallow, token }
    try {
      return toPage(await calls.trySend(settings, (attempt) => service.listPage(query, attempt)))
    } catch (error) {
      throw toThrown(error)
    }
  })
  const isUtf16 = service.listOrder === 'utf16'
  const compare = isUtf16 ? byUtf16 : byUtf8
  const checked = inOrder(pages, nameOf, compare, isShallow, service.orderHint)
  for await (const entry of isUtf16 ? inKeyOrder(checked, nameOf) : checked) {
    signal?.throwIfAborted()
    assertBelow(prefix, nameOf(entry))
    yield entry
  }
}

/** A folder at the end of one page may be at the start of the next one too. */
async function* inOrder<T>(
  entries: AsyncIterable<T>,
  nameOf: (entry: T) => string,
  compare: (a: string, b: string) => number,
  mayRepeat: boolean,
  hint = 'check the endpoint',
): AsyncGenerator<T, void> {
  let last: string | undefined
  for await (const entry of entries) {
    const name = nameOf(entry)
    const order = last === undefined ? 1 : compare(name, last)
    if (order < 0 || (order === 0 && !mayRepeat)) {
      throw new S3loError('UNSUPPORTED', `the service lists ${name} after ${last}`, { hint })
    }
    last = name
    if (order > 0) yield entry
  }
}

/** A service that ignores the prefix would have a neighbour's objects taken for these. */
function assertBelow(prefix: string, name: string): void {
  if (name.startsWith(prefix)) return
  throw new S3loError('UNSUPPORTED', `the service lists ${name}, which is not below ${prefix}`, {
    hint: 'check the endpoint',
  })
}

function byUtf16(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
