/**
 * Lines to an output that may fill up or go away. Neither ends the process: a member must not die of its log. What
 * could not be written is counted, and said as soon as there is room again.
 */

/** Writes at once, or throws an error with `code` `ENOSPC`, `EPIPE` or another of the system's. */
export type Sink = (text: string) => void

export class Output {
  readonly #sink: Sink
  readonly #lostLine: (lines: number) => string
  #lost = 0

  /** `lostLine` makes the line that reports lost ones. */
  constructor(sink: Sink, lostLine: (lines: number) => string) {
    this.#sink = sink
    this.#lostLine = lostLine
  }

  /** Lines lost and not yet reported. */
  get lost(): number {
    return this.#lost
  }

  /** Takes one line, its end included. Never throws. */
  write(line: string): void {
    try {
      this.#sink(this.#lost > 0 ? this.#lostLine(this.#lost) + line : line)
      this.#lost = 0
    } catch {
      this.#lost++
    }
  }

  /** A write that had been accepted failed later. */
  failed(): void {
    this.#lost++
  }
}
