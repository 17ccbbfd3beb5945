// ws at both ends. Four bytes of correlation precede each body. Masking is left out, as ws allows between servers.
//   plain   one frame, one write
//   corked  the socket below is corked until the end of the turn
import { once } from 'node:events'
import WebSocket, { WebSocketServer } from 'ws'
import { Slots } from './net.mjs'

export const name = 'ws'
export const modes = ['plain', 'corked']

const PENDING_BYTES_HIGH = 1024 * 1024
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024

export async function serve({ mode, onMessage, onRequest }) {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
  })
  server.on('connection', (socket) => {
    const send = sender(socket, mode)
    socket.on('error', () => socket.terminate())
    socket.on('message', (data) => {
      const correlation = data.readUInt32LE(0)
      const body = data.subarray(4)
      if (correlation === 0) onMessage(body)
      else send(correlation, onRequest(body))
    })
  })
  await once(server, 'listening')
  return { address: `127.0.0.1:${server.address().port}`, close: () => server.close() }
}

export async function connect(address, { mode }) {
  const socket = new WebSocket(`ws://${address}`, {
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    generateMask: (mask) => mask.fill(0),
  })
  socket.binaryType = 'nodebuffer'
  await once(socket, 'open')
  const send = sender(socket, mode)
  const waiting = new Slots()
  socket.on('message', (data) => waiting.take(data.readUInt32LE(0))?.resolve(data.subarray(4)))
  socket.on('close', () => waiting.rejectAll(new Error('the connection was closed')))
  return {
    request: (bytes) => new Promise((resolve, reject) => send(waiting.add({ resolve, reject }), bytes)),
    send: (bytes) => {
      send(0, bytes)
      return socket.bufferedAmount < PENDING_BYTES_HIGH
    },
    drain: async () => {
      while (socket.bufferedAmount >= PENDING_BYTES_HIGH / 4) await new Promise(setImmediate)
    },
    close: () => socket.terminate(),
  }
}

function sender(socket, mode) {
  let corked = false
  const uncork = () => {
    corked = false
    socket._socket?.uncork()
  }
  return (correlation, body) => {
    if (mode === 'corked' && !corked) {
      corked = true
      socket._socket.cork()
      process.nextTick(uncork)
    }
    const frame = Buffer.allocUnsafe(4 + body.length)
    frame.writeUInt32LE(correlation, 0)
    frame.set(body, 4)
    socket.send(frame)
  }
}
