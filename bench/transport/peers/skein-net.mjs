// skein's public API on node:net, for machines without a binary.
import { peerOn } from './skein.mjs'

export const name = 'skein-net'
export const { modes, missing, serve, connect } = peerOn('net')
