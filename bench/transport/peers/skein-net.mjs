// skein's public API on node:net, for machines without a binary.
export { connect, missing, serve } from './skein.mjs'
export const name = 'skein-net'
export const modes = ['net']
