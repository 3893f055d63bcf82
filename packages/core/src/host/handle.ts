import { formatStore } from '../layout/format-store.ts'
import { parseConfigReference } from '../layout/store-reference.ts'
import type { StoreHandle } from './contract.ts'
import type { LocateOptions } from './locate-store.ts'
import type { Opener } from './opener.ts'
import { bindOperations } from './operations.ts'
import { locate } from './subject.ts'

/** See `Host.open`. */
export async function openHandle(
  opener: Opener,
  reference: string,
  options: LocateOptions = {},
): Promise<StoreHandle> {
  const located = await locate(opener, reference, { names: 'store', ...options })
  const { scheme, bucket } = parseConfigReference(located)
  const holding = await opener.hold({ scheme, bucket }, options)
  const close = (): Promise<void> => holding.close()
  return {
    ...bindOperations(holding),
    store: formatStore({ scheme, bucket }),
    close,
    [Symbol.asyncDispose]: close,
  }
}
