// Builds the addon into build/Release when an input changed: sources, binding.gyp, the Node that runs, the compiler flags.
// Headers beside the running Node are used when they are there, so that nothing is downloaded. SKEIN_WERROR=1 makes
// warnings errors. In a checkout, which has native/test, the C++ unit tests are built as well.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { binaryPath } from './native-paths.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const stampFile = join(root, 'build/.skein-native')
const testBinary = join(root, 'build/Release/skein_native_test')
const withTests = existsSync(join(root, 'native/test'))
const werror = process.env.SKEIN_WERROR === '1'

const stamp = stampOfInputs()
const outputs = withTests ? [binaryPath(root), testBinary] : [binaryPath(root)]
const fresh =
  outputs.every((path) => existsSync(path)) &&
  existsSync(stampFile) &&
  readFileSync(stampFile, 'utf8') === stamp
if (!fresh) {
  build()
  writeFileSync(stampFile, stamp)
}

function build() {
  const gyp = join(root, 'node_modules/node-gyp/bin/node-gyp.js')
  const options = [`-Dskein_tests=${withTests ? 1 : 0}`, `-Dskein_werror=${werror ? 1 : 0}`]
  // make itself skips what is up to date, so a changed file costs that file and a link.
  runGyp([gyp, 'configure', ...nodedir(), '--', ...options])
  runGyp([gyp, 'build', '--jobs', String(availableParallelism()), ...nodedir()])
}

function nodedir() {
  const prefix = dirname(dirname(process.execPath))
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
}

function runGyp(args) {
  const loud = process.env.SKEIN_VERBOSE === '1' ? [] : ['--loglevel=error']
  const [script, command, ...rest] = args
  const { status, error } = spawnSync(process.execPath, [script, command, ...loud, ...rest], {
    cwd: root,
    stdio: ['ignore', process.env.SKEIN_VERBOSE === '1' ? 'inherit' : 'ignore', 'inherit'],
  })
  if (error !== undefined) throw error
  if (status !== 0) {
    console.error(`build: node-gyp ${command} failed; SKEIN_VERBOSE=1 shows its whole output`)
    process.exit(status ?? 1)
  }
}

/** Names, sizes and times of all inputs, and what else decides the outcome. */
function stampOfInputs() {
  const hash = createHash('sha256')
  const inputs = [join(root, 'binding.gyp'), ...filesBelow(join(root, 'native'))]
  for (const path of inputs) {
    const { size, mtimeMs } = statSync(path)
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`)
  }
  const { CC = '', CXX = '', CFLAGS = '', CXXFLAGS = '', LDFLAGS = '' } = process.env
  const { version, arch, platform, execPath } = process
  hash.update(
    JSON.stringify({ version, arch, platform, execPath, CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS, werror }),
  )
  return hash.digest('hex')
}

function filesBelow(dir) {
  return readdirSync(dir, { recursive: true })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile())
    .sort()
}
