// Builds a C++ program of the benchmark with g++ into bench/build/ when a source is newer than it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const buildDir = fileURLToPath(new URL('../../build/', import.meta.url))
const rawDir = fileURLToPath(new URL('./', import.meta.url))
const nativeCoreDir = fileURLToPath(new URL('../../../native/core/', import.meta.url))

/** The raw peer. Throws with g++'s own words when it cannot be built. */
export function buildRaw() {
  return build('raw', sourcesIn(rawDir), [])
}

/** A peer of the control plane on skein's own codecs, with the kernel's time stamps. */
export function buildProbe() {
  const codecs = ['crc32c.cc', 'frame.cc', 'hello.cc'].map((file) => join(nativeCoreDir, file))
  const sources = [...sourcesIn(join(dirname(rawDir), 'probe')), ...codecs]
  return build('probe', sources, [`-iquote${nativeCoreDir}`])
}

function sourcesIn(dir) {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.cc'))
    .map((file) => join(dir, file))
}

function build(name, sources, options) {
  const binary = join(buildDir, name)
  const folders = [...new Set(sources.map(dirname))]
  const inputs = folders.flatMap((dir) => readdirSync(dir).map((file) => join(dir, file)))
  if (existsSync(binary) && inputs.every((path) => statSync(path).mtimeMs <= statSync(binary).mtimeMs)) {
    return binary
  }
  mkdirSync(buildDir, { recursive: true })
  const args = ['-std=c++20', '-O2', '-Wall', '-Wextra', ...options, ...sources, '-o', binary]
  const { status, stderr, error } = spawnSync('g++', args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`g++ was not found: ${error.message}`)
  if (status !== 0) throw new Error(`g++ failed on ${name}:\n${stderr}`)
  return binary
}
