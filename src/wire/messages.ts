/** The codec of membership messages: what the shell and the simulator call. */
export { type Decoded, decodeMessage } from './decode-message.js'
export { encodeMessage } from './encode-message.js'
