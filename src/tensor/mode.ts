/** A switch that is on while a function runs, such as `noGrad` or `autocast`. */
export class Mode {
  private depth = 0;

  get active(): boolean {
    return this.depth > 0;
  }

  /** Runs a synchronous `body` with the mode off. */
  suspend<T>(body: () => T): T {
    const { depth } = this;
    this.depth = 0;
    try {
      return body();
    } finally {
      this.depth = depth;
    }
  }

  /** Runs `body` with the mode on, until an async body settles; do not start other work meanwhile. */
  run<T>(body: () => T): T {
    this.depth += 1;
    let pending = false;
    try {
      const result = body();
      if (result instanceof Promise) {
        pending = true;
        return result.finally(() => {
          this.depth -= 1;
        }) as T;
      }
      return result;
    } finally {
      if (!pending) this.depth -= 1;
    }
  }
}
