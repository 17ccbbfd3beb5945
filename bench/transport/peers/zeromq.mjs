// zeromq 6, DEALER at both ends. Its I/O thread batches by itself; one send may be under way at a time, hence the queue.
import { Dealer } from 'zeromq'
import { Slots } from './net.mjs'

export const name = 'zeromq'
export const modes = ['']

const QUEUE_HIGH = 1000

export async function serve({ onMessage, onRequest }) {
  const socket = new Dealer({ linger: 0 })
  await socket.bind('tcp://127.0.0.1:*')
  const send = sender(socket)
  void receive(socket, (correlation, body) => {
    if (correlation === 0) onMessage(body)
    else send.frame(correlation, onRequest(body))
  })
  return { address: socket.lastEndpoint.replace('tcp://', ''), close: () => socket.close() }
}

export async function connect(address) {
  const socket = new Dealer({ linger: 0 })
  socket.connect(`tcp://${address}`)
  const send = sender(socket)
  const waiting = new Slots()
  void receive(socket, (correlation, body) => waiting.take(correlation)?.resolve(body))
  return {
    request: (bytes) => new Promise((resolve, reject) => send.frame(waiting.add({ resolve, reject }), bytes)),
    send: (bytes) => {
      send.frame(0, bytes)
      return send.queued() < QUEUE_HIGH
    },
    drain: send.drain,
    close: () => socket.close(),
  }
}

async function receive(socket, onFrame) {
  for await (const [frame] of socket) onFrame(frame.readUInt32LE(0), frame.subarray(4))
}

function sender(socket) {
  let queue = []
  let pumping = Promise.resolve()
  let idle = true
  const pump = async () => {
    while (queue.length > 0) {
      const batch = queue
      queue = []
      for (const frame of batch) await socket.send(frame)
    }
    idle = true
  }
  return {
    frame(correlation, body) {
      const frame = Buffer.allocUnsafe(4 + body.length)
      frame.writeUInt32LE(correlation, 0)
      frame.set(body, 4)
      queue.push(frame)
      if (!idle) return
      idle = false
      pumping = pump()
    },
    queued: () => queue.length,
    drain: () => pumping,
  }
}
