import type { PolicyCheckModule } from '../contract/policy-check.ts'
import type { StoreLocation } from '../contract/storage-backend.ts'
import type { Scanner } from '../contract/scanner.ts'
import { S3loError } from '../errors.ts'
import type { TargetEnd } from '../graph/transfer-request.ts'
import { parseReadReference } from '../layout/store-reference.ts'
import type { OperationOptions, PublishOptions } from '../operations/options.ts'
import type {
  SbomImageOptions,
  SbomResult,
  ScanImageOptions,
  ScanResult,
} from '../operations/scan.ts'
import type { ValidateOptions, ValidateResult, ValidationTools } from '../operations/validate.ts'
import type { ImageStore } from '../store/image-store.ts'
import type { Opener } from './opener.ts'

/** Which scanner looks into an image. */
export interface ScannerChoice {
  /** Default `trivy`. */
  readonly scanner?: string | undefined
  /** What the scanner is told, such as `trivyPath`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/** Whether the policies of the destination decide. */
export interface ValidationChoice {
  /** Publish only what passes the `policies:` of the bucket; else throw `FORBIDDEN`. */
  readonly validate?: boolean | undefined
  /** Go on with `validate` where no policy is about the image; else that is `FORBIDDEN`, too. */
  readonly allowNoPolicies?: boolean | undefined
  /** What the checks are told, such as `trivyPath`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/** See `Host.scan`. */
export async function scanImage(
  opener: Opener,
  reference: string,
  { scanner: name, settings, ...options }: ScanImageOptions & ScannerChoice = {},
): Promise<ScanResult> {
  const parsed = parseReadReference(reference)
  const scanner = await openScanner(opener, { scanner: name, settings }, options)
  const { scan } = await import('../operations/scan.ts')
  return opener.withImage(parsed, options, (store, image) => scan(store, image, scanner, options))
}

/** See `Host.sbom`. */
export async function listImageContents(
  opener: Opener,
  reference: string,
  { scanner: name, settings, ...options }: SbomImageOptions & ScannerChoice = {},
): Promise<SbomResult> {
  const parsed = parseReadReference(reference)
  const scanner = await openScanner(opener, { scanner: name, settings }, options)
  const { sbom } = await import('../operations/scan.ts')
  return opener.withImage(parsed, options, (store, image) => sbom(store, image, scanner, options))
}

/** See `Host.validate`. */
export async function validateImage(
  opener: Opener,
  reference: string,
  options: ValidateOptions = {},
): Promise<ValidateResult> {
  const parsed = parseReadReference(reference)
  const { validate } = await import('../operations/validate.ts')
  return opener.withImage(parsed, options, (store, image) =>
    validate(store, image, validationTools(opener), options),
  )
}

/**
 * The hook that holds an image against the policies of a store before it is published there. Throws
 * `FORBIDDEN`, before anything is transferred, where no policy is about the image.
 */
export async function publishValidation(
  opener: Opener,
  { location, image }: { readonly location: StoreLocation; readonly image: string },
  target: TargetEnd['target'],
  { validate = false, allowNoPolicies = false, ...options }: ValidationChoice & ValidateOptions,
): Promise<PublishOptions> {
  if (!validate) return {}
  if (!isStore(target)) {
    throw new S3loError('USAGE', 'only a store has policies to validate against')
  }
  if (!allowNoPolicies) {
    const { assertPolicies } = await import('../operations/validate.ts')
    await assertPolicies(target, image, options)
  }
  return {
    beforePublish: async (root, reference) => {
      const { assertValid } = await import('../operations/validate.ts')
      const published = { ...location, image: reference.name, ...reference }
      await assertValid(target, published, root, validationTools(opener), options)
    },
  }
}

function isStore(target: TargetEnd['target']): target is ImageStore {
  return 'referrerStore' in target
}

async function openScanner(
  { registry, env }: Opener,
  { scanner = 'trivy', settings = {} }: ScannerChoice,
  options: OperationOptions,
): Promise<Scanner> {
  const module = await registry.scanner(scanner)
  return module.openScanner({ ...options, settings, env })
}

function validationTools({ registry, env }: Opener): ValidationTools {
  return {
    findCheck: (name): Promise<PolicyCheckModule> => registry.policyCheck(name),
    env,
  }
}
