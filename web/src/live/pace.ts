/** How fast a training goes, and how long it will take. */

/** Steps over which the speed is measured. */
const WINDOW = 24;

interface Note {
  step: number;
  tokens: number;
  seconds: number;
}

export class Pace {
  private notes: Note[] = [];
  private total = 0;

  /** A step is done: the tokens that it had, and the seconds since the training began. */
  note(step: number, tokens: number, seconds: number): void {
    this.total += tokens;
    this.notes.push({ step, tokens: this.total, seconds });
    if (this.notes.length > WINDOW) this.notes.shift();
  }

  /** From the first step in the window, whose own time does not count; null if too little is known. */
  private get span(): Note | null {
    const [first, last] = [this.notes[0], this.notes.at(-1)];
    if (first === undefined || last === undefined || last.step <= first.step) return null;
    const seconds = last.seconds - first.seconds;
    return seconds > 0 ? { step: last.step - first.step, tokens: last.tokens - first.tokens, seconds } : null;
  }

  get tokensPerSecond(): number | null {
    const { span } = this;
    return span === null ? null : span.tokens / span.seconds;
  }

  /** Seconds until `steps` are done; null if too little is known. */
  secondsLeft(steps: number): number | null {
    const { span } = this;
    return span === null ? null : ((steps - this.notes.at(-1)!.step) * span.seconds) / span.step;
  }
}
