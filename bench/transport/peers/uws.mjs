// uWebSockets.js as the server, with the client of ws. The server corks what one read answers by itself.
import { createRequire } from 'node:module'
import { connect } from './ws.mjs'

export { connect }
export const name = 'uws'
export const modes = ['plain', 'corked']

const BACKPRESSURE_BYTES_MAX = 64 * 1024 * 1024

const load = () => createRequire(import.meta.url)('uWebSockets.js')

export function missing() {
  try {
    load()
    return undefined
  } catch (error) {
    return `uWebSockets.js does not load: ${error.message.split('\n')[0]}`
  }
}

export async function serve({ onMessage, onRequest }) {
  const uws = load()
  let listening
  const app = uws.App().ws('/*', {
    maxPayloadLength: BACKPRESSURE_BYTES_MAX,
    maxBackpressure: 0,
    idleTimeout: 0,
    message: (socket, data) => {
      const correlation = new DataView(data).getUint32(0, true)
      const body = new Uint8Array(data, 4)
      if (correlation === 0) return onMessage(body)
      const answer = onRequest(body)
      const frame = new Uint8Array(4 + answer.length)
      new DataView(frame.buffer).setUint32(0, correlation, true)
      frame.set(answer, 4)
      socket.send(frame, true)
    },
  })
  await new Promise((resolve, reject) =>
    app.listen('127.0.0.1', 0, (token) => {
      listening = token
      if (token) resolve()
      else reject(new Error('uWebSockets.js cannot listen'))
    }),
  )
  return {
    address: `127.0.0.1:${uws.us_socket_local_port(listening)}`,
    close: () => uws.us_listen_socket_close(listening),
  }
}
