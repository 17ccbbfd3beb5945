// What is measured beside what. A peer is one file:
//   modes                                          ways of using it, one empty name if there is one; the best is kept
//   serve({mode, onMessage, onRequest}) -> {address, children?, close}
//   connect(address, {mode}) -> {request(bytes): Promise, send(bytes): room left?, drain(): Promise, close()}
//   missing?() -> why it cannot run here           modesOf?(kind) where not all modes can do all kinds
// The raw peer is a program in C++ and speaks the coordinator's lines itself.

/** In the order of their turns. */
export const PEERS = ['raw', 'net', 'skein', 'skein-net', 'ws', 'uws', 'zeromq', 'grpc', 'nats']

/** Packages that a service might take instead of skein. */
export const NPM_PEERS = ['ws', 'uws', 'zeromq', 'grpc', 'nats']

export const IDLE_PEERS = ['raw', 'net', 'ws', 'skein']

const RAW = { name: 'raw', modes: [''] }

export async function loadPeer(name) {
  return name === 'raw' ? RAW : await import(`./${name}.mjs`)
}

/** The peer, or why it cannot be measured here. */
export async function tryPeer(name) {
  try {
    const peer = await loadPeer(name)
    const reason = await peer.missing?.()
    return reason === undefined ? { peer } : { reason }
  } catch (error) {
    return { reason: String(error.message).split('\n')[0] }
  }
}
