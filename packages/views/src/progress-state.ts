import type { Descriptor, ProgressEvent } from '@s3lo/core'

/** A blob on its way. */
export interface BlobInFlight {
  readonly descriptor: Descriptor
  /** `os/arch[/variant]`, or `single`. */
  readonly platform: string
  readonly moved: number
}

interface Sample {
  readonly time: number
  readonly moved: number
}

/** How far back the rate looks. */
const RATE_WINDOW_MS = 5_000
const SAMPLE_EVERY_MS = 200

/** How far a transfer is, from the events of its operation. Times are milliseconds of any clock. */
export class ProgressState {
  readonly #inFlight = new Map<string, BlobInFlight>()
  readonly #now: () => number
  #samples: Sample[]
  #total: number | undefined
  #plannedBlobs = 0
  #planTime = 0
  #settled = 0
  #moved = 0
  #blobs = 0

  constructor(now: () => number) {
    this.#now = now
    this.#samples = [{ time: now(), moved: 0 }]
  }

  /** Bytes of everything there is to do; `undefined` while it is unknown. */
  get total(): number | undefined {
    return this.#total
  }

  /** Bytes that are in place or have moved, what was skipped included; never more than the total. */
  get done(): number {
    let done = this.#settled
    for (const { moved } of this.#inFlight.values()) done += moved
    return this.#total === undefined ? done : Math.min(done, this.#total)
  }

  /** From 0 to 1, by bytes, or by blobs where only those are known; `undefined` while it is unknown. */
  get ratio(): number | undefined {
    if (this.#total === undefined) return undefined
    if (this.#total > 0) return this.done / this.#total
    return this.#plannedBlobs === 0 ? 1 : Math.min(1, this.#blobs / this.#plannedBlobs)
  }

  /** Blobs of everything there is to do, where no bytes are planned; else `undefined`. */
  get blobTotal(): number | undefined {
    return this.#total === 0 && this.#plannedBlobs > 0 ? this.#plannedBlobs : undefined
  }

  /** Blobs that are in place. */
  get blobs(): number {
    return this.#blobs
  }

  get inFlight(): readonly BlobInFlight[] {
    return [...this.#inFlight.values()]
  }

  /** Bytes a second over the last seconds; only what moved counts, not what was skipped. */
  get rate(): number {
    const [first] = this.#samples
    if (!first) return 0
    const seconds = (this.#now() - first.time) / 1000
    return seconds <= 0 ? 0 : (this.#moved - first.moved) / seconds
  }

  /** Seconds to the end at the present rate; `undefined` when that cannot be told. */
  get secondsLeft(): number | undefined {
    const { rate, ratio } = this
    if (this.blobTotal !== undefined && ratio !== undefined && ratio > 0) {
      return ((this.#now() - this.#planTime) / 1000 / ratio) * (1 - ratio)
    }
    if (this.#total === undefined || rate <= 0) return undefined
    return (this.#total - this.done) / rate
  }

  apply(event: ProgressEvent): void {
    switch (event.type) {
      case 'plan':
        return this.#plan(event.blobs, event.bytes)
      case 'blob':
        return event.phase === 'start'
          ? this.#start(event.descriptor, event.platform)
          : this.#settle(event.descriptor)
      case 'bytes':
        return this.#move(event.descriptor, event.delta)
      case 'notice':
        return undefined
    }
  }

  #plan(blobs: number, bytes: number): void {
    // With nothing on its way, a plan begins another leg of the transfer, which starts from zero.
    if (this.#inFlight.size === 0) {
      this.#settled = 0
      this.#blobs = 0
    }
    this.#total = bytes
    this.#plannedBlobs = blobs
    this.#planTime = this.#now()
  }

  #start(descriptor: Descriptor, platform: string): void {
    this.#inFlight.set(descriptor.digest, { descriptor, platform, moved: 0 })
  }

  #settle(descriptor: Descriptor): void {
    // What arrives before its digest is known moves under an empty one.
    if (!this.#inFlight.delete(descriptor.digest)) this.#inFlight.delete('')
    this.#settled += descriptor.size
    this.#blobs++
  }

  #move(descriptor: Descriptor, delta: number): void {
    const { platform = 'single', moved: before = 0 } = this.#inFlight.get(descriptor.digest) ?? {}
    // A blob that is sent again after a failure does not become larger than it is.
    const moved = Math.max(0, Math.min(before + delta, descriptor.size))
    this.#moved += delta
    this.#sample()
    this.#inFlight.set(descriptor.digest, { descriptor, platform, moved })
  }

  #sample(): void {
    const time = this.#now()
    const last = this.#samples.at(-1)
    if (last && time - last.time < SAMPLE_EVERY_MS) return
    this.#samples.push({ time, moved: this.#moved })
    // One sample older than the window is kept: the rate is measured from it.
    while ((this.#samples[1]?.time ?? time) < time - RATE_WINDOW_MS) this.#samples.shift()
  }
}
