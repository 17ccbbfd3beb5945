/** A promise settled from outside; Node 20 has no `Promise.withResolvers`. Later settlements are ignored. */
export class Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (reason: unknown) => void

  constructor() {
    let settle: ((value: T) => void) | undefined
    let fail: ((reason: unknown) => void) | undefined
    this.promise = new Promise<T>((resolve, reject) => {
      settle = resolve
      fail = reject
    })
    this.resolve = settle!
    this.reject = fail!
  }
}
