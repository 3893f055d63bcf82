/** How often a message says that npm is still at work (milliseconds). */
const EVERY_MS = 5_000

/** Says now and then how far npm is: it can take minutes, and says nothing to people itself. */
export class NpmWatch {
  readonly #say: (line: string) => void
  readonly #timer: NodeJS.Timeout
  #fetched = 0
  #ticks = 0

  constructor(say: (line: string) => void) {
    this.#say = say
    this.#timer = setInterval(() => this.#tick(), EVERY_MS)
    this.#timer.unref()
  }

  /** To be called with how many answers of its registry npm has read. */
  readonly onFetched = (count: number): void => {
    this.#fetched = count
  }

  end(): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    const seconds = (++this.#ticks * EVERY_MS) / 1000
    const fetched =
      this.#fetched === 0
        ? 'its registry has not answered yet'
        : `${this.#fetched} answers of its registry so far`
    this.#say(`npm is at work for ${seconds} s: ${fetched}`)
  }
}
