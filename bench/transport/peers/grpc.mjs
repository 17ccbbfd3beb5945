// @grpc/grpc-js with bytes as its messages, so that no cost of protobuf is charged to it.
//   bidi   one stream in both directions, four bytes of correlation before each body
//   unary  one call per request; it has no one-way messages
import grpc from '@grpc/grpc-js'
import { Slots } from './net.mjs'

export const name = 'grpc'
export const modes = ['bidi', 'unary']
export const modesOf = (kind) => (kind === 'oneway' ? ['bidi'] : modes)

const bytes = {
  requestSerialize: (body) => body,
  requestDeserialize: (body) => body,
  responseSerialize: (body) => body,
  responseDeserialize: (body) => body,
}
const SERVICE = {
  call: { path: '/bench/call', requestStream: false, responseStream: false, ...bytes },
  stream: { path: '/bench/stream', requestStream: true, responseStream: true, ...bytes },
}
const OPTIONS = { 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 }

export async function serve({ onMessage, onRequest }) {
  const server = new grpc.Server(OPTIONS)
  server.addService(SERVICE, {
    call: (call, answer) => answer(null, onRequest(call.request)),
    stream: (call) => {
      call.on('error', () => call.end())
      call.on('end', () => call.end())
      call.on('data', (data) => {
        const correlation = data.readUInt32LE(0)
        const body = data.subarray(4)
        if (correlation === 0) onMessage(body)
        else call.write(frameOf(correlation, onRequest(body)))
      })
    },
  })
  const port = await new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() }
}

export async function connect(address, { mode }) {
  const client = new (grpc.makeGenericClientConstructor(SERVICE, 'bench'))(
    address,
    grpc.credentials.createInsecure(),
    OPTIONS,
  )
  const stream = client.stream()
  const waiting = new Slots()
  stream.on('error', (error) => waiting.rejectAll(error))
  stream.on('data', (data) => waiting.take(data.readUInt32LE(0))?.resolve(data.subarray(4)))
  let room = true
  const streamed = (body) =>
    new Promise((resolve, reject) => stream.write(frameOf(waiting.add({ resolve, reject }), body)))
  const unary = (body) =>
    new Promise((resolve, reject) =>
      client.call(Buffer.from(body.buffer, body.byteOffset, body.length), (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      ),
    )
  return {
    request: mode === 'unary' ? unary : streamed,
    send: (body) => {
      room = stream.write(frameOf(0, body))
      return room
    },
    drain: () => (room ? Promise.resolve() : new Promise((resolve) => stream.once('drain', resolve))),
    close: () => {
      stream.cancel()
      client.close()
    },
  }
}

function frameOf(correlation, body) {
  const frame = Buffer.allocUnsafe(4 + body.length)
  frame.writeUInt32LE(correlation, 0)
  frame.set(body, 4)
  return frame
}
