import type { Scanner, ScannerOptions } from '@s3lo/core/plugin'
import { requireTrivy } from './require-trivy.ts'
import { TrivyScanner } from './trivy-scanner.ts'

/** Trivy, found or installed. Throws `UNSUPPORTED` with how to install it. */
export async function openScanner(options: ScannerOptions): Promise<Scanner> {
  return new TrivyScanner(await requireTrivy(options), options.env)
}
