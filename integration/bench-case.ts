/** What one process cost. */
export interface Sample {
  readonly seconds: number
  /** Peak resident set of the process (MB); only of ours. */
  readonly rssMb?: number
  /** Bytes written to disk by the process; only of ours. */
  readonly written?: number
}

/** How a case is measured. */
export interface Case {
  readonly ours: () => Sample
  readonly before?: () => void
  readonly bytes?: number
  readonly rounds?: number
}
