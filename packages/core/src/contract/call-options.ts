/** What every call that can wait accepts. */
export interface CallOptions {
  /** Aborting rejects the call with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** A half-open range of bytes, `[start, end)`; without `end` it runs to the last byte. */
export interface ByteRange {
  readonly start: number
  readonly end?: number | undefined
}
