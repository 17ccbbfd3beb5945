// skein's public API on the native transport.
import * as skein from '../../../dist/index.js'

const { createTransport } = skein

const ECHO = 'echo'
const SINK = 'sink'
/** The connections of an idle run must stay what they are until they have been counted. */
const LANE_IDLE_MS = 600_000

export const name = 'skein'
export const { modes, missing, serve, connect } = peerOn('native')

/** The peer on one of skein's transports. */
export function peerOn(transport) {
  const start = () =>
    createTransport({ listen: '127.0.0.1:0', transport, messaging: { laneIdleMs: LANE_IDLE_MS } })
  return {
    modes: [''],
    missing: () => (typeof createTransport === 'function' ? undefined : 'this build has no createTransport'),
    async serve({ onMessage, onRequest }) {
      const node = await start()
      node.handle(ECHO, onRequest)
      node.handle(SINK, onMessage)
      return { address: `${node.address.host}:${node.address.port}`, close: () => node.close() }
    },
    async connect(address) {
      const node = await start()
      const peer = node.peer(address)
      return {
        request: (bytes) => peer.request(ECHO, bytes),
        send: (bytes) => peer.send(SINK, bytes),
        drain: () => peer.drain(),
        close: () => node.close(),
      }
    },
  }
}
