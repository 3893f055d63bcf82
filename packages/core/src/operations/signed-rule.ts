import type { PolicyRule } from '../contract/policy-rule.ts'

/** What a signature has to be. */
export interface SignatureChoice {
  /** Accept signatures in cosign's formats as well, which hold for the content wherever it is. */
  readonly allowCosign?: boolean | undefined
  /** Accept records of schema 1, which hold for the content wherever it is. */
  readonly allowSchema1?: boolean | undefined
}

/** The policy check that judges signatures. */
export const SIGNED_CHECK = 'signed'

/** The policy of `--verify-key`: the key signed the image. */
export function signedRule(
  keyRef: string,
  { allowCosign = false, allowSchema1 = false }: SignatureChoice = {},
): PolicyRule {
  return {
    name: `--verify-key ${keyRef}`,
    check: SIGNED_CHECK,
    keyRef,
    parameters: { allow_cosign: String(allowCosign), allow_schema_1: String(allowSchema1) },
  }
}
