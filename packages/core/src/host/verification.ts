import type {
  PolicyCheckModule,
  PolicyCheckOptions,
  PolicyVerdict,
} from '../contract/policy-check.ts'
import type { PolicyRule } from '../contract/policy-rule.ts'
import type { StoreLocation } from '../contract/storage-backend.ts'
import { isStore } from '../contract/store-facts.ts'
import { S3loError } from '../errors.ts'
import type { SourceEnd } from '../graph/transfer-request.ts'
import type { ImageEnd } from '../image-end.ts'
import { formatReference, type StoreReference } from '../layout/store-reference.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName, type Reference } from '../oci/reference.ts'
import type { OperationOptions, VerifyOptions } from '../operations/options.ts'
import type { Opener } from './opener.ts'

/** Whether only what a key signed is moved. */
export interface VerificationChoice {
  /** Move only what this key signed, as `verify` judges it; else throw `FORBIDDEN`. */
  readonly verifyKey?: string | undefined
  /** Accept signatures in cosign's formats of a store as well; those of other sources are no others. */
  readonly allowCosign?: boolean | undefined
  /** Accept records of schema 1, which hold for the content wherever it is. */
  readonly allowSchema1?: boolean | undefined
}

/** The check that judges signatures. */
const CHECK = 'signed'

/** The hook that verifies what an operation is about to move. Throws `USAGE`. */
export function sourceVerification(
  { registry, env }: Opener,
  from: ImageEnd,
  choice: VerificationChoice & OperationOptions,
): VerifyOptions {
  const { verifyKey, allowCosign = false, allowSchema1 = false, signal, onProgress } = choice
  if (verifyKey === undefined) {
    if (!allowCosign && !allowSchema1) return {}
    throw new S3loError('USAGE', 'there is no key that a signature could be accepted of', {
      hint: 'name one: --verify-key cosign.pub',
    })
  }
  const rule = {
    name: `--verify-key ${verifyKey}`,
    check: CHECK,
    keyRef: verifyKey,
    parameters: { allow_cosign: String(allowCosign), allow_schema_1: String(allowSchema1) },
  }
  const options = { env, now: new Date(), settings: {}, signal, onProgress }
  return {
    verifySource: async (root, end) => {
      const check = await registry.policyCheck(CHECK)
      const moved = { from, end, root }
      const { passed, message = 'not signed' } = await judge(check, rule, moved, options)
      if (passed) return
      throw new S3loError(
        'FORBIDDEN',
        `${nameOf(moved)} is not verified and was left where it is: ${message}`,
        {
          hint: 'it was asked for with --verify-key: see s3lo verify --help',
          contentFault: true,
        },
      )
    },
  }
}

/** What is about to be moved. */
interface Moved {
  readonly from: ImageEnd
  /** Of `from`, with the tag that is moved where those of an image are several. */
  readonly end: SourceEnd
  readonly root: ManifestDocument
}

/** As the user writes it. */
function nameOf({ from, end: { source, reference } }: Moved): string {
  return from.kind === 'store'
    ? formatReference(placeOf(from.reference, reference))
    : `${source.name}: ${formatImageName(reference)}`
}

/** A record is bound to the name of the bucket as it was typed. */
function placeOf({ scheme, bucket }: StoreLocation, reference: Reference): StoreReference {
  return { scheme, bucket, ...reference }
}

async function judge(
  check: PolicyCheckModule,
  rule: PolicyRule,
  moved: Moved,
  options: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  const {
    from,
    root,
    end: { source, reference },
  } = moved
  const name = nameOf(moved)
  if (from.kind === 'store' && source.kind === 'random-access' && isStore(source)) {
    const place = placeOf(from.reference, reference)
    const subject = { name, reference: place, root, source, publishedAt: undefined }
    return check.checkPolicy(rule, subject, options)
  }
  if (source.kind === 'random-access' && check.checkSource) {
    return check.checkSource(rule, { name, reference, root, source }, options)
  }
  throw new S3loError('UNSUPPORTED', `what is in ${source.name} cannot be verified`, {
    hint: 'copy it to a store, and verify it there',
  })
}
