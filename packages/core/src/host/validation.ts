import { isStore } from '../contract/store-facts.ts'
import { S3loError } from '../errors.ts'
import { asSource } from '../graph/present.ts'
import type { TargetEnd } from '../graph/transfer-request.ts'
import type { StoreReference } from '../layout/store-reference.ts'
import type { PublishOptions } from '../operations/options.ts'
import type { ValidateOptions } from '../operations/validate.ts'
import type { Opener } from './opener.ts'
import { validationTools } from './tools.ts'

/** Whether the policies of the destination decide. */
export interface ValidationChoice {
  /** Publish only what passes the `policies:` of the bucket; else throw `FORBIDDEN`. */
  readonly validate?: boolean | undefined
  /** Passes `validate` even if no policy applies to the image; otherwise that is `FORBIDDEN` too. */
  readonly allowNoPolicies?: boolean | undefined
  /** Settings of the checks, such as `trivyPath`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The hook that holds an image against the policies of a store before it is published there. Throws
 * `FORBIDDEN`, before anything is transferred, where no policy is about the image.
 */
export async function publishValidation(
  opener: Opener,
  to: StoreReference | undefined,
  target: TargetEnd['target'],
  { validate = false, allowNoPolicies = false, ...options }: ValidationChoice & ValidateOptions,
): Promise<PublishOptions> {
  if (!validate) return {}
  const store = target.kind === 'random-access' ? asSource(target) : undefined
  if (!to || !store || !isStore(store)) {
    throw new S3loError('USAGE', 'only a store has policies to validate against')
  }
  if (!allowNoPolicies) {
    const { assertPolicies } = await import('../operations/validate.ts')
    await assertPolicies(store, to.name, options)
  }
  return {
    beforePublish: async (root, reference) => {
      const { assertValid } = await import('../operations/validate.ts')
      const { scheme, bucket } = to
      const published = { scheme, bucket, ...reference }
      await assertValid(store, published, root, validationTools(opener), options)
    },
  }
}
