/** One of the `policies:` that an image is validated against; what each member means depends on `check`. */
export interface PolicyRule {
  /** For reports; the name of the check where none is given. */
  readonly name: string
  readonly check: string
  /** Names and globs of the images that it is about; absent is all. */
  readonly images?: readonly string[]
  readonly maxSeverity?: string
  readonly maxDays?: number
  readonly maxBytes?: number
  readonly keyRef?: string
  /** Every other key with a scalar value, as it is written: parameters of checks from elsewhere. */
  readonly parameters?: Readonly<Record<string, string>>
}
