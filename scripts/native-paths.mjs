// Where the addon lies: as built here, and as shipped. The loader (src/transport/native/load.ts) looks in the same places.
import { join } from 'node:path'

/** glibc and musl binaries are not interchangeable; only glibc names itself in the report. */
function isMusl() {
  return process.platform === 'linux' && process.report.getReport().header.glibcVersionRuntime === undefined
}

export function binaryPath(root) {
  return join(root, 'build/Release/skein.node')
}

export function prebuildPath(root) {
  return join(root, 'prebuilds', `${process.platform}${isMusl() ? 'musl' : ''}-${process.arch}`, 'skein.node')
}
