import type { Host, StoreHandle } from './host/contract.ts'
import { type HostOptions, Opener } from './host/opener.ts'
import { bindOperations } from './host/operations.ts'
import { validationTools } from './host/tools.ts'

export type { Host, Operations, StoreHandle } from './host/contract.ts'
export type { HostOptions, OpenedImage } from './host/opener.ts'
export type { ScannerChoice } from './host/tools.ts'
export type { ValidationChoice } from './host/validation.ts'
export type { VerificationChoice } from './host/verification.ts'
// Here as well as in the main entry: what a command that only lists can afford to load.
export { parseStoreReference } from './layout/store-reference.ts'

/** Makes a host of plugins. Nothing is loaded or connected before an operation needs it. */
export function createHost(options: HostOptions = {}): Host {
  const opener = new Opener(options)
  return {
    ...bindOperations(opener),
    validationTools: () => validationTools(opener),
    async open(reference, given): Promise<StoreHandle> {
      const { openHandle } = await import('./host/handle.ts')
      return openHandle(opener, reference, given)
    },
  }
}
