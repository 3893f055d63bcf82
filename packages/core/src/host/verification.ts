import type {
  PolicyCheckModule,
  PolicyCheckOptions,
  PolicyRule,
  PolicyVerdict,
} from '../contract/policy-check.ts'
import { S3loError } from '../errors.ts'
import type { SourceEnd } from '../graph/transfer-request.ts'
import type { ImageEnd } from '../image-end.ts'
import { formatReference, parseStoreReference } from '../layout/store-reference.ts'
import type { ManifestDocument } from '../oci/document.ts'
import { formatImageName } from '../oci/reference.ts'
import type { OperationOptions, VerifyOptions } from '../operations/options.ts'
import { type SignatureChoice, SIGNED_CHECK, signedRule } from '../operations/signed-rule.ts'
import { isStore } from '../contract/store-facts.ts'
import type { Opener } from './opener.ts'

/** Whether only what a key signed is moved. */
export interface VerificationChoice extends SignatureChoice {
  /** Move only what this key signed, as `verify` judges it; else throw `FORBIDDEN`. */
  readonly verifyKey?: string | undefined
}

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
  const rule = signedRule(verifyKey, { allowCosign, allowSchema1 })
  const options = { env, now: new Date(), settings: {}, signal, onProgress }
  return {
    verifySource: async (root, end) => {
      const check = await registry.policyCheck(SIGNED_CHECK)
      const name = nameOf(from, end)
      const { passed, message = 'not signed' } = await judge(
        check,
        rule,
        { name, root, end },
        options,
      )
      if (passed) return
      throw new S3loError(
        'FORBIDDEN',
        `${name} is not verified and was left where it is: ${message}`,
        {
          hint: 'it was asked for with --verify-key: see s3lo verify --help',
          contentFault: true,
        },
      )
    },
  }
}

interface Subject {
  readonly name: string
  readonly root: ManifestDocument
  readonly end: SourceEnd
}

async function judge(
  check: PolicyCheckModule,
  rule: PolicyRule,
  { name, root, end: { source, reference } }: Subject,
  options: PolicyCheckOptions,
): Promise<PolicyVerdict> {
  if (source.kind === 'random-access' && isStore(source)) {
    const { backend } = source
    const subject = { name, reference, root, source, backend, publishedAt: undefined }
    return check.checkPolicy(rule, subject, options)
  }
  if (source.kind === 'random-access' && check.checkSource) {
    return check.checkSource(rule, { name, reference, root, source }, options)
  }
  throw new S3loError('UNSUPPORTED', `what is in ${source.name} cannot be verified`, {
    hint: 'copy it to a store, and verify it there',
  })
}

/** As the user writes it: a record is bound to the bucket's name as it was typed. */
function nameOf(from: ImageEnd, { source, reference }: SourceEnd): string {
  if (from.kind === 'store') {
    const { scheme, bucket } = parseStoreReference(from.text)
    return formatReference({ scheme, bucket, image: reference.name, ...reference })
  }
  return `${source.name}: ${formatImageName(reference)}`
}
