/** Lets work run a few at a time. */
export interface Gate {
  /** Runs the work once there is room; `undefined`, at once, where too many wait already. */
  run<T>(work: () => Promise<T>): Promise<{ readonly value: T } | undefined>
}

/** A gate for `limit` at once, with at most `waiting` more in line. */
export function createGate({ limit, waiting }: { limit: number; waiting: number }): Gate {
  const line: (() => void)[] = []
  let running = 0
  return {
    async run(work) {
      if (running >= limit) {
        if (line.length >= waiting) return undefined
        await new Promise<void>((resolve) => line.push(resolve))
      } else {
        running++
      }
      try {
        return { value: await work() }
      } finally {
        // The place passes to the next in line, or is free again.
        const next = line.shift()
        if (next) next()
        else running--
      }
    },
  }
}
