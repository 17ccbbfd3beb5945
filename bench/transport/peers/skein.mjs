// skein's public API on the native transport.
import * as skein from '../../../dist/index.js'

const { createTransport } = skein

export const name = 'skein'
export const modes = ['native']

const ECHO = 'echo'
const SINK = 'sink'

export function missing() {
  return typeof createTransport === 'function' ? undefined : 'this build has no createTransport'
}

export async function serve({ mode, onMessage, onRequest }) {
  const transport = await createTransport({ listen: '127.0.0.1:0', transport: mode })
  transport.handle(ECHO, onRequest)
  transport.handle(SINK, onMessage)
  return { address: addressOf(transport), close: () => transport.close() }
}

export async function connect(address, { mode }) {
  const transport = await createTransport({ listen: '127.0.0.1:0', transport: mode })
  const peer = transport.peer(address)
  return {
    request: (bytes) => peer.request(ECHO, bytes),
    send: (bytes) => peer.send(SINK, bytes),
    drain: () => peer.drain(),
    close: () => transport.close(),
  }
}

function addressOf({ address }) {
  return typeof address === 'string' ? address : `${address.host}:${address.port}`
}
