// node:net as a careful engineer would use it: the yardstick. u32 length | u32 correlation | body, correlation 0 for a
// message; promises by correlation. Written in three ways, and read in two:
//   write      one write per message
//   cork       one write per message, corked until the end of the turn, so that one writev leaves
//   coalesced  copied into one buffer, written at the end of the turn or of the batch read, or when it is full
//   onread     written as coalesced, read into one buffer of ours, where the others parse in Node's own read buffers
import { createServer, connect as netConnect, Socket } from 'node:net'

export const name = 'net'
export const modes = ['write', 'cork', 'coalesced', 'onread']

const HEAD_BYTES = 8
const CHUNK_BYTES = 128 * 1024
const READ_BYTES = 256 * 1024
const CHUNKS_KEPT = 8
/** From here a copy costs more than a second entry in a writev. */
const DIRECT_BYTES_MIN = 16 * 1024
const PENDING_BYTES_HIGH = 1024 * 1024
const PENDING_BYTES_LOW = 256 * 1024

export async function serve({ mode, onMessage, onRequest }) {
  const onread = mode === 'onread'
  const server = createServer({ noDelay: true, pauseOnConnect: onread }, (accepted) => {
    const reader = new FrameReader(onread)
    const socket = onread ? reopened(accepted, reader) : accepted
    const writer = createWriter(socket, mode, onread)
    socket.on('error', () => socket.destroy())
    reader.onBatch = () => writer.flush()
    reader.onFrame = (correlation, body) => {
      if (correlation === 0) return onMessage(body)
      const answer = onRequest(body)
      if (typeof answer.then === 'function') answer.then((bytes) => writer.frame(correlation, bytes))
      else writer.frame(correlation, answer)
    }
    if (onread) socket.resume()
    else socket.on('data', (chunk) => reader.read(chunk))
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  return { address: `127.0.0.1:${server.address().port}`, close: () => server.close() }
}

export async function connect(address, { mode }) {
  const [host, port] = address.split(':')
  const onread = mode === 'onread'
  const reader = new FrameReader(onread)
  const socket = netConnect({ host, port: Number(port), noDelay: true, ...(onread ? reader.options() : {}) })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const writer = createWriter(socket, mode)
  const waiting = new Slots()
  socket.on('close', () => waiting.rejectAll(new Error('the connection was closed')))
  reader.onBatch = () => writer.flush()
  // The answer is the caller's to keep: what lies in our own read buffer is copied.
  reader.onFrame = (correlation, body) =>
    waiting.take(correlation)?.resolve(onread ? reader.owned(body) : body)
  if (!onread) socket.on('data', (chunk) => reader.read(chunk))
  return {
    request: (bytes) =>
      new Promise((resolve, reject) => writer.frame(waiting.add({ resolve, reject }), bytes)),
    send: (bytes) => {
      writer.frame(0, bytes)
      return !writer.full()
    },
    drain: () => writer.drain(),
    close: () => socket.destroy(),
  }
}

/** An accepted socket cannot be given a read buffer any more; another one on the same handle can. */
function reopened(accepted, reader) {
  const handle = accepted._handle
  accepted._handle = null
  return new Socket({ handle, readable: true, writable: true, ...reader.options() })
}

/** Promises by correlation: a slot's number is used again once it is answered. */
export class Slots {
  #entries = [undefined]
  #free = []

  add(entry) {
    const slot = this.#free.pop() ?? this.#entries.length
    this.#entries[slot] = entry
    return slot
  }

  take(slot) {
    const entry = this.#entries[slot]
    if (entry === undefined) return undefined
    this.#entries[slot] = undefined
    this.#free.push(slot)
    return entry
  }

  rejectAll(error) {
    for (const entry of this.#entries) entry?.reject(error)
    this.#entries = [undefined]
    this.#free = []
  }
}

/** Cuts what is read into frames: `onFrame(correlation, body)` for each, `onBatch()` after those of one read. */
class FrameReader {
  #partial
  #have = 0

  options() {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    return {
      onread: {
        buffer,
        callback: (bytes) => {
          this.read(buffer.subarray(0, bytes))
          return true
        },
      },
    }
  }

  owned(body) {
    return Buffer.from(body)
  }

  read(chunk) {
    let at = this.#partial === undefined ? 0 : this.#complete(chunk)
    if (at < 0) return
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length)
    while (chunk.length - at >= HEAD_BYTES) {
      const end = at + 4 + view.getUint32(at, true)
      if (end > chunk.length) break
      const body = new Uint8Array(chunk.buffer, chunk.byteOffset + at + HEAD_BYTES, end - at - HEAD_BYTES)
      this.onFrame(view.getUint32(at + 4, true), body)
      at = end
    }
    if (at < chunk.length) {
      const left = chunk.length - at
      this.#partial = Buffer.allocUnsafe(left < HEAD_BYTES ? HEAD_BYTES : 4 + view.getUint32(at, true))
      this.#partial.set(chunk.subarray(at))
      this.#have = left
    }
    this.onBatch()
  }

  /** Takes what belongs to the frame begun earlier; returns how much of `chunk` that was, or -1 when it needs more. */
  #complete(chunk) {
    let at = 0
    if (this.#have < HEAD_BYTES) {
      at = Math.min(HEAD_BYTES - this.#have, chunk.length)
      this.#fill(chunk.subarray(0, at))
      if (this.#have < HEAD_BYTES) return -1
      const whole = Buffer.allocUnsafe(4 + this.#partial.readUInt32LE(0))
      whole.set(this.#partial)
      this.#partial = whole
    }
    const taken = Math.min(this.#partial.length - this.#have, chunk.length - at)
    this.#fill(chunk.subarray(at, at + taken))
    if (this.#have < this.#partial.length) return -1
    const frame = this.#partial
    this.#partial = undefined
    this.onFrame(frame.readUInt32LE(4), frame.subarray(HEAD_BYTES))
    return at + taken
  }

  #fill(bytes) {
    this.#partial.set(bytes, this.#have)
    this.#have += bytes.length
  }
}

/** With `copies` every body is copied: what lies in a read buffer does not stay as it is until it is written. */
function createWriter(socket, mode, copies = false) {
  if (mode === 'write' || mode === 'cork') return new DirectWriter(socket, mode === 'cork')
  return new CoalescingWriter(socket, copies)
}

/** Pending bytes and who waits for fewer of them. */
class Pending {
  #waiting = []

  constructor(socket) {
    this.socket = socket
    this.onWritten = () => {
      if (this.#waiting.length === 0 || this.bytes() > PENDING_BYTES_LOW) return
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
  }

  bytes() {
    return this.socket.writableLength
  }

  full() {
    return this.bytes() >= PENDING_BYTES_HIGH
  }

  drain() {
    return this.full() ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve()
  }
}

/** One write per message, corked per turn or not. */
class DirectWriter extends Pending {
  #corked = false

  constructor(socket, corks) {
    super(socket)
    this.corks = corks
  }

  frame(correlation, body) {
    if (this.corks && !this.#corked) {
      this.#corked = true
      this.socket.cork()
      process.nextTick(() => this.flush())
    }
    if (body.length < DIRECT_BYTES_MIN) {
      const frame = Buffer.allocUnsafe(HEAD_BYTES + body.length)
      writeHead(frame, correlation, body.length)
      frame.set(body, HEAD_BYTES)
      this.socket.write(frame, this.onWritten)
      return
    }
    const head = Buffer.allocUnsafe(HEAD_BYTES)
    writeHead(head, correlation, body.length)
    this.socket.cork()
    this.socket.write(head)
    this.socket.write(body, this.onWritten)
    this.socket.uncork()
  }

  flush() {
    if (!this.#corked) return
    this.#corked = false
    this.socket.uncork()
  }
}

/** Buffers that the kernel has taken, for the next turn of any connection; an idle connection holds none. */
const freeChunks = []

/** What one turn sends, in one buffer. */
class CoalescingWriter extends Pending {
  #chunk
  #view
  #used = 0
  #scheduled = false

  constructor(socket, copies) {
    super(socket)
    this.copies = copies
  }

  bytes() {
    return this.socket.writableLength + this.#used
  }

  frame(correlation, body) {
    const direct = body.length >= (this.copies ? CHUNK_BYTES - HEAD_BYTES : DIRECT_BYTES_MIN)
    if (this.#used + HEAD_BYTES + (direct ? 0 : body.length) > CHUNK_BYTES) this.#writeChunk()
    if (this.#chunk === undefined) this.#takeChunk()
    this.#view.setUint32(this.#used, body.length + 4, true)
    this.#view.setUint32(this.#used + 4, correlation, true)
    this.#used += HEAD_BYTES
    if (direct) {
      this.socket.cork()
      this.#writeChunk()
      this.socket.write(this.copies ? Buffer.from(body) : body, this.onWritten)
      this.socket.uncork()
      return
    }
    this.#chunk.set(body, this.#used)
    this.#used += body.length
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => this.flush())
  }

  flush() {
    this.#scheduled = false
    if (this.#used > 0) this.#writeChunk()
  }

  #takeChunk() {
    this.#chunk = freeChunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)
    this.#view = new DataView(this.#chunk.buffer)
    this.#used = 0
  }

  #writeChunk() {
    const chunk = this.#chunk
    this.socket.write(chunk.subarray(0, this.#used), () => {
      if (freeChunks.length < CHUNKS_KEPT) freeChunks.push(chunk)
      this.onWritten()
    })
    this.#chunk = undefined
    this.#used = 0
  }
}

function writeHead(buffer, correlation, bytes) {
  buffer.writeUInt32LE(bytes + 4, 0)
  buffer.writeUInt32LE(correlation, 4)
}
