// nats 2 through a nats-server of its own, which the server's process starts and ends. The broker's CPU counts.
import { spawn, spawnSync } from 'node:child_process'
import { connect as natsConnect } from 'nats'
import { freePort } from '../free-port.mjs'

export const name = 'nats'
export const modes = ['']

const UNFLUSHED_BYTES_MAX = 1024 * 1024
const START_TIMEOUT_MS = 10_000

export function missing() {
  return spawnSync('nats-server', ['--version']).error === undefined
    ? undefined
    : 'no nats-server on the PATH'
}

export async function serve({ onMessage, onRequest }) {
  const port = await freePort()
  const broker = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  process.once('exit', () => broker.kill('SIGKILL'))
  const address = `127.0.0.1:${port}`
  const connection = await whenUp(() => natsConnect({ servers: address }))
  connection.subscribe('sink', { callback: (_, message) => onMessage(message.data) })
  connection.subscribe('echo', { callback: (_, message) => message.respond(onRequest(message.data)) })
  await connection.flush()
  return { address, children: [broker.pid], close: () => broker.kill('SIGKILL') }
}

export async function connect(address) {
  const connection = await natsConnect({ servers: address })
  let unflushed = 0
  return {
    request: async (bytes) => (await connection.request('echo', bytes, { timeout: 30_000 })).data,
    send: (bytes) => {
      connection.publish('sink', bytes)
      unflushed += bytes.length
      return unflushed < UNFLUSHED_BYTES_MAX
    },
    drain: async () => {
      unflushed = 0
      await connection.flush()
    },
    close: () => connection.close(),
  }
}

async function whenUp(attempt) {
  const deadline = performance.now() + START_TIMEOUT_MS
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
