import type { CallOptions } from './call-options.ts'
import type { ProgressOptions } from './progress.ts'

/** An image on disk: a folder in the OCI image layout with one manifest of one platform. */
export interface ScanTarget {
  readonly folder: string
  /** How reports call it. */
  readonly name: string
}

/** How bad a finding is, from the least to the worst. */
export const SEVERITIES = ['UNKNOWN', 'LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface ScanOptions extends CallOptions, ProgressOptions {
  /** Only these count and are shown; default all. */
  readonly severities?: readonly Severity[] | undefined
  /** A format of the scanner's; default its table. */
  readonly format?: string | undefined
}

export interface ScanReport {
  /** Whether there is anything of the severities that were asked for. */
  readonly hasFindings: boolean
  /** The report, in the format that was asked for. */
  readonly report: string
}

export interface SbomOptions extends CallOptions, ProgressOptions {
  /** Such as `cyclonedx` or `spdx-json`. */
  readonly format: string
}

/** A tool that looks into images. What goes wrong with the tool itself is thrown, never a finding. */
export interface Scanner {
  readonly name: string
  scan(target: ScanTarget, options: ScanOptions): Promise<ScanReport>
  /** What the image is made of, as a document. */
  sbom(target: ScanTarget, options: SbomOptions): Promise<string>
}

export interface ScannerOptions extends CallOptions, ProgressOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the command line says to this scanner, such as `trivyPath`. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** What a scanner contribution's `load()` gives. */
export interface ScannerModule {
  /** Finds the tool. Throws `UNSUPPORTED`, with how to install it, when it is not there. */
  openScanner(options: ScannerOptions): Promise<Scanner>
}
