// A TCP relay between the ends of a soak that hurts its connections: resets, half-closes, ends and pauses.
import { connect, createServer } from 'node:net'

const PAUSE_MAX_MS = 1500

export class Relay {
  faults = { reset: 0, halfClose: 0, end: 0, pause: 0 }
  target
  #pairs = new Set()
  /** Directions that are paused or have ended, by where they are read. */
  #held = new WeakSet()
  #server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#relay(near))

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.address = `127.0.0.1:${this.#server.address().port}`
    return this
  }

  get connections() {
    return this.#pairs.size
  }

  /** Does one thing to one connection, as `random` says. */
  hurt(random) {
    const pairs = [...this.#pairs]
    if (pairs.length === 0) return
    const pair = pairs[Math.floor(random() * pairs.length)]
    const [one, other] = random() < 0.5 ? [pair.near, pair.far] : [pair.far, pair.near]
    const kind = random()
    // One thing at a time: piping a direction twice would double its bytes, which no network does to TCP.
    if (kind >= 0.2 && this.#held.has(one)) return
    if (kind < 0.2) {
      this.faults.reset += 1
      one.resetAndDestroy()
      if (random() < 0.5) other.resetAndDestroy()
    } else if (kind < 0.35) {
      // FIN towards one end, while the other direction still flows.
      this.faults.halfClose += 1
      this.#held.add(one)
      one.unpipe(other)
      one.resume()
      other.end()
    } else if (kind < 0.5) {
      this.faults.end += 1
      one.destroy()
      other.destroy()
    } else {
      this.faults.pause += 1
      this.#held.add(one)
      one.unpipe(other)
      one.pause()
      setTimeout(() => {
        this.#held.delete(one)
        one.pipe(other)
      }, random() * PAUSE_MAX_MS)
    }
  }

  close() {
    this.#server.close()
    for (const { near, far } of this.#pairs) {
      near.destroy()
      far.destroy()
    }
  }

  #relay(near) {
    const [host, port] = this.target.split(':')
    const far = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true })
    const pair = { near, far }
    this.#pairs.add(pair)
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        // What still lies in the relay goes out before its end does.
        if (!other.destroyed && !other.writableEnded) other.end()
        if (near.destroyed && far.destroyed) this.#pairs.delete(pair)
      })
      socket.pipe(other)
    }
  }
}
