// Runs the C++ unit tests and the tests of the native transport under sanitizers: `node scripts/test-sanitize.mjs
// [address|thread]`, both one after the other without an argument. `address` finds errors of memory and undefined behaviour,
// `thread` data races between the control thread and the JavaScript loops. Exits with 1 on any report or failed test.
//
// Needs Linux, python3, make, and g++ with its sanitizer libraries (libasan, libubsan, libtsan; Debian's g++ brings them).
// Where the kernel's vm.mmap_rnd_bits is above 28, libtsan before GCC 14 starts only under `setarch -R`.
//
// Each kind is built in a copy of the tree under build/sanitize, so that build/Release stays as it is. Node itself is
// not instrumented: the sanitizer is preloaded into it. Leaks are looked for in the unit tests only, since Node and V8
// leave most of their memory to the end of the process.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { binaryPath } from './native-paths.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const COPIED = [
  ...['native', 'scripts', 'src', 'test', 'binding.gyp'],
  ...['package.json', 'tsconfig.json', 'vitest.config.ts'],
]
const SUITES = ['test/contract/native.test.ts', 'test/contract/interop.test.ts', 'test/native']
const BOUND_MS = 20 * 60 * 1000

const KINDS = {
  address: {
    flags: '-fsanitize=address,undefined -fno-sanitize-recover=all',
    library: 'libasan.so',
    symbol: '__asan_init',
    // Freed memory is held back only so long that tests which bound the memory of the process still mean something.
    options: (reports, isNode) => ({
      ASAN_OPTIONS: `detect_leaks=${isNode ? 0 : 1}:quarantine_size_mb=4:detect_stack_use_after_return=1:strict_string_checks=1:log_path=${reports}/address`,
      UBSAN_OPTIONS: `print_stacktrace=1:log_path=${reports}/undefined`,
    }),
  },
  thread: {
    flags: '-fsanitize=thread',
    library: 'libtsan.so',
    symbol: '__tsan_init',
    // What Node and V8 do among themselves goes by atomics that are not instrumented; their locks and threads are seen all the same.
    options: (reports, isNode) => ({
      TSAN_OPTIONS: `ignore_noninstrumented_modules=${isNode ? 1 : 0}:second_deadlock_stack=1:log_path=${reports}/thread`,
    }),
  },
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !Object.hasOwn(KINDS, name))
if (unknown.length > 0) {
  console.error(
    `sanitize: unknown kind "${unknown[0]}"; use ${Object.keys(KINDS).join(', ')} or nothing for both`,
  )
  process.exit(2)
}
const outcomes = (wanted.length === 0 ? Object.keys(KINDS) : wanted).map((name) => sanitize(name))
for (const { line } of outcomes) console.log(line)
const isClean = outcomes.every((outcome) => outcome.isClean)
console.log(isClean ? 'sanitize: clean' : 'sanitize: FAILED')
process.exit(isClean ? 0 : 1)

function sanitize(name) {
  const kind = KINDS[name]
  const tree = join(root, 'build/sanitize', name)
  const reports = join(tree, 'reports')
  const library = libraryOf(kind)
  if (library === undefined)
    return { isClean: false, line: `${name}: the C++ compiler has no ${kind.library}` }
  console.log(`== ${name}: build in ${tree}`)
  copyTree(tree)
  if (!build(tree, kind)) return { isClean: false, line: `${name}: not built` }

  console.log(`== ${name}: unit tests`)
  const unit = run(join(tree, 'build/Release/skein_native_test'), [], tree, kind.options(reports, false))
  console.log(`== ${name}: ${SUITES.join(' ')}`)
  const suites = runSuites(tree, { ...kind.options(reports, true), LD_PRELOAD: library })

  const found = readdirSync(reports)
  for (const file of found) console.error(readFileSync(join(reports, file), 'utf8'))
  return {
    isClean: unit && suites.isClean && found.length === 0,
    line: `${name}: unit tests ${unit ? 'passed' : 'FAILED'}; ${suites.passed} tests passed, ${suites.failed} failed; ${found.length} reports`,
  }
}

/** Times are kept, so that make builds only what has changed since the last run. */
function copyTree(tree) {
  mkdirSync(tree, { recursive: true })
  for (const path of [...COPIED, 'reports']) rmSync(join(tree, path), { recursive: true, force: true })
  for (const path of COPIED)
    cpSync(join(root, path), join(tree, path), { recursive: true, preserveTimestamps: true })
  if (!existsSync(join(tree, 'node_modules')))
    symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
  mkdirSync(join(tree, 'reports'))
}

function build(tree, { flags, symbol }) {
  const built = run(process.execPath, [join(tree, 'scripts/build-native.mjs')], tree, {
    CXXFLAGS: `${flags} -fno-omit-frame-pointer -g -O1`,
    LDFLAGS: flags,
  })
  if (!built) return false
  // A build without the flags would find nothing, whatever there is.
  const isInstrumented = readFileSync(binaryPath(tree)).includes(symbol)
  if (!isInstrumented) console.error(`sanitize: ${binaryPath(tree)} does not refer to ${symbol}`)
  return isInstrumented
}

/** The compiler answers with the bare name when it has no such library. */
function libraryOf({ library }) {
  const { stdout } = spawnSync(process.env.CXX ?? 'g++', [`-print-file-name=${library}`], {
    encoding: 'utf8',
  })
  const path = stdout?.trim() ?? ''
  return path.includes('/') ? realpathSync(path) : undefined
}

function runSuites(tree, environment) {
  const record = join(tree, 'build/record.json')
  rmSync(record, { force: true })
  const vitest = join(tree, 'node_modules/vitest/vitest.mjs')
  const reporters = ['--reporter=json', `--outputFile=${record}`]
  const ended = run(process.execPath, [vitest, 'run', ...reporters, ...SUITES], tree, {
    ...environment,
    SKEIN_REQUIRE_NATIVE: '1',
  })
  if (!existsSync(record)) return { isClean: false, passed: 0, failed: 0 }
  const {
    numPassedTests: passed,
    numFailedTests: failed,
    testResults,
  } = JSON.parse(readFileSync(record, 'utf8'))
  for (const { assertionResults } of testResults)
    for (const { status, fullName, failureMessages } of assertionResults)
      if (status === 'failed') console.error(`sanitize: ${fullName}: ${failureMessages[0]?.split('\n')[0]}`)
  return { isClean: ended && failed === 0 && passed > 0, passed, failed }
}

function run(command, args, cwd, environment) {
  const { status, signal, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...environment },
    stdio: 'inherit',
    timeout: BOUND_MS,
  })
  if (status !== 0) console.error(`sanitize: ${command} ended with ${error?.message ?? signal ?? status}`)
  return status === 0
}
