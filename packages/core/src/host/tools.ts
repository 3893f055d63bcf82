import type { PolicyCheckModule } from '../contract/policy-check.ts'
import type { Scanner } from '../contract/scanner.ts'
import { isS3loError } from '../errors.ts'
import type { ImageFilesOptions, NamedLayerReader } from '../operations/image-files.ts'
import type { OperationOptions } from '../operations/options.ts'
import type { ValidationTools } from '../operations/validate.ts'
import type { Opener } from './opener.ts'

/** Which scanner looks into an image. */
export interface ScannerChoice {
  /** Default `trivy`. */
  readonly scanner?: string | undefined
  /** Settings of the scanner, such as `trivyPath`. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined
}

/** The reader of the official plugin. */
const READER = 'soci'

/**
 * The reader of layers that have an index. Without its plugin every layer is read from its
 * beginning; only `index` cannot do without it.
 */
export async function findReader(
  { registry }: Opener,
  { index = false }: Pick<ImageFilesOptions, 'index'> = {},
): Promise<NamedLayerReader | undefined> {
  try {
    return { name: READER, module: await registry.layerReader(READER) }
  } catch (error) {
    if (!index && isS3loError(error, 'PLUGIN_NOT_INSTALLED')) return undefined
    throw error
  }
}

/** The scanner that is chosen. Throws `PLUGIN_NOT_INSTALLED`. */
export async function openScanner(
  { registry, env }: Opener,
  { scanner = 'trivy', settings = {} }: ScannerChoice,
  options: OperationOptions,
): Promise<Scanner> {
  const module = await registry.scanner(scanner)
  return module.openScanner({ ...options, settings, env })
}

/** What finds the checks that policies name. */
export function validationTools({ registry, env }: Opener): ValidationTools {
  return {
    findCheck: (name): Promise<PolicyCheckModule> => registry.policyCheck(name),
    env,
  }
}
