// A port of 127.0.0.1 that nobody holds just now, for those who must name it before they listen.
import { createServer } from 'node:net'

export async function freePort() {
  const server = createServer()
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}
