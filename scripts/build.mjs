// Builds what is stale: `node scripts/build.mjs [native|ts]`, both halves without an argument.
// TypeScript goes to dist/, the addon to build/Release/skein.node. Without a compiler the native half is skipped, since
// the `net` transport serves without it; SKEIN_REQUIRE_NATIVE=1 makes that an error.
import { spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { binaryPath, prebuildPath } from './native-paths.mjs'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const srcDir = join(root, 'src')
const distDir = join(root, 'dist')
const buildInfo = join(distDir, '.tsbuildinfo')
/** What the last successful build compiled: a digest of names, sizes and times is enough to see that nothing is stale. */
const stampFile = join(distDir, '.built')

const half = process.argv[2]
if (half !== undefined && half !== 'native' && half !== 'ts') {
  console.error(`build: unknown half "${half}"; use native, ts or nothing for both`)
  process.exit(2)
}
if (half !== 'ts') buildNative()
if (half !== 'native') buildTypeScript()

function buildNative() {
  const missing = missingTools()
  if (missing.length > 0) {
    const required = process.env.SKEIN_REQUIRE_NATIVE === '1'
    const consequence = existsSync(prebuildPath(root))
      ? 'the prebuilt binary is used as it is, changes under native/ are not'
      : "transport 'auto' will take 'net': heartbeats then leave from the JavaScript thread and stalls are not reported"
    console.error(
      `build: native half ${required ? 'cannot be built' : 'skipped'}, not found: ${missing.join(', ')}; ${consequence}`,
    )
    if (required) process.exit(1)
    return
  }
  run(process.execPath, [join(root, 'scripts/build-native.mjs')])
  // The loader would take a prebuilt binary first: one that is older than the sources must not shadow what was just built.
  const [built, shipped] = [binaryPath(root), prebuildPath(root)].map(modifiedMs)
  if (shipped !== undefined && built !== undefined && shipped < built) rmSync(prebuildPath(root))
}

function buildTypeScript() {
  const sources = listFiles(srcDir).filter((path) => path.endsWith('.ts'))
  const outputs = new Set(sources.flatMap(outputsOf))
  removeStale(outputs)
  const stamp = stampOf(sources)
  const complete = [...outputs].every((path) => existsSync(join(distDir, path)))
  if (complete && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  // tsc trusts its own record: with an output gone it would emit nothing.
  if (!complete) rmSync(buildInfo, { force: true })
  run(process.execPath, [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    join(root, 'tsconfig.build.json'),
  ])
  const cli = join(distDir, 'cli/main.js')
  if (existsSync(cli)) chmodSync(cli, 0o755)
  writeFileSync(stampFile, stamp)
}

function stampOf(sources) {
  const inputs = [
    ...sources.map((path) => join('src', path)),
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
    'node_modules/typescript/package.json',
  ]
  return inputs
    .map((path) => `${path} ${modifiedMs(join(root, path))} ${statSync(join(root, path)).size}\n`)
    .join('')
}

/** What tsc writes for one source, relative to dist. */
function outputsOf(source) {
  const stem = source.replace(/\.ts$/, '')
  return [`${stem}.js`, `${stem}.js.map`, `${stem}.d.ts`]
}

/** Outputs whose source is gone would still be packed and imported. */
function removeStale(outputs) {
  if (!existsSync(distDir)) return
  const kept = new Set([...outputs, '.tsbuildinfo', '.built'])
  for (const path of listFiles(distDir)) if (!kept.has(path)) rmSync(join(distDir, path))
}

/** node-gyp needs a C++ compiler, make and Python; the environment may name others than the usual ones. */
function missingTools() {
  const wanted = [
    ['a C++ compiler (g++)', [process.env.CXX, 'g++', 'c++', 'clang++']],
    ['make', [process.env.MAKE, 'make', 'gmake']],
    ['python3', [process.env.PYTHON, 'python3', 'python']],
  ]
  return wanted.filter(([, names]) => !names.some(isExecutable)).map(([label]) => label)
}

function isExecutable(name) {
  if (name === undefined || name === '') return false
  const candidates = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, name))
  return candidates.some((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function modifiedMs(path) {
  return existsSync(path) ? statSync(path).mtimeMs : undefined
}

/** Files below `dir`, relative to it, sorted. */
function listFiles(dir) {
  return readdirSync(dir, { recursive: true })
    .filter((path) => statSync(join(dir, path)).isFile())
    .sort()
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}
