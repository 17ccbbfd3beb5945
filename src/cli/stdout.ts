/** The process's standard output as a sink that tells of its failures instead of ending the process. */
import { fstatSync, writeSync } from 'node:fs'
import type { Sink } from './output.js'

const STDOUT_FD = 1

/**
 * A terminal or a pipe goes through Node's stream, whose errors come later, to `onError`. A file or a device is written
 * directly: Node's stream for these stops for good after the first write that fails.
 */
export function stdoutSink(onError: (error: NodeJS.ErrnoException) => void): Sink {
  const kind = fstatSync(STDOUT_FD)
  if (!process.stdout.isTTY && !kind.isFIFO() && !kind.isSocket()) {
    return (text) => {
      writeSync(STDOUT_FD, text)
    }
  }
  process.stdout.on('error', onError)
  return (text) => {
    if (!process.stdout.writable) throw new Error('standard output is closed')
    process.stdout.write(text)
  }
}
