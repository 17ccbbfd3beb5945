// Puts the built addon where the package ships it, stripped, after checking that it will load elsewhere: no glibc newer
// than GLIBC_MAX, no shared libstdc++. Linux only; needs binutils.
// npm also runs the script of this name before `build`: with --if-built a machine that cannot make the binary goes on without.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { binaryPath, prebuildPath } from './native-paths.mjs'

/** The glibc of the oldest systems that a binary built here is meant for: RHEL 9; Ubuntu 22.04 has a newer one. */
const GLIBC_MAX = [2, 34]
/** What every glibc system with Node has: Node itself links these. */
const LIBRARIES_ALLOWED = new Set([
  'libc.so.6',
  'libgcc_s.so.1',
  'libm.so.6',
  'libpthread.so.0',
  'libdl.so.2',
  'ld-linux-x86-64.so.2',
  'ld-linux-aarch64.so.1',
])

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const built = binaryPath(root)
const shipped = prebuildPath(root)

try {
  const optional = process.argv.includes('--if-built') && process.env.SKEIN_REQUIRE_NATIVE !== '1'
  if (optional && (process.platform !== 'linux' || !existsSync(built))) {
    console.log(
      'prebuild: no native binary was built here, none is shipped; the net transport serves without it',
    )
  } else prebuild()
} catch (error) {
  console.error(`prebuild: ${error.message}`)
  process.exitCode = 1
}

function prebuild() {
  if (process.platform !== 'linux')
    throw new Error(`prebuilt binaries are made on Linux, this is ${process.platform}`)
  if (!existsSync(built)) throw new Error(`${relative(root, built)} is missing; run: npm run build:native`)
  mkdirSync(dirname(shipped), { recursive: true })
  // Written beside and renamed: a process that loads the binary meanwhile sees the old one or the new one, whole.
  const fresh = `${shipped}.${process.pid}`
  try {
    output('strip', ['--strip-unneeded', '-o', fresh, built])
    const report = inspect(fresh)
    renameSync(fresh, shipped)
    console.log(
      `prebuild: ${relative(root, shipped)}, ${(statSync(shipped).size / 1024).toFixed(0)} KiB, ${report}`,
    )
  } finally {
    rmSync(fresh, { force: true })
  }
}

/** Says what the binary needs of the system; throws when that is too much. */
function inspect(binary) {
  const libraries = [...output('readelf', ['-d', binary]).matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(
    ([, name]) => name,
  )
  const foreign = libraries.filter((name) => !LIBRARIES_ALLOWED.has(name))
  if (foreign.length > 0) throw new Error(`needs ${foreign.join(', ')}, which must be linked statically`)
  const glibc = highestGlibc(output('objdump', ['-T', binary]))
  if (compareVersions(glibc, GLIBC_MAX) > 0) {
    throw new Error(`needs glibc ${glibc.join('.')}, at most ${GLIBC_MAX.join('.')} is allowed`)
  }
  return `needs glibc ${glibc.join('.')} or later, links ${libraries.join(', ')}`
}

/** The highest GLIBC_x.y among the versions of dynamic symbols. */
function highestGlibc(symbols) {
  const versions = [...symbols.matchAll(/GLIBC_(\d+)\.(\d+)/g)].map(([, major, minor]) => [
    Number(major),
    Number(minor),
  ])
  if (versions.length === 0) throw new Error('names no glibc version: not a glibc binary')
  return versions.sort(compareVersions).at(-1)
}

function compareVersions(a, b) {
  return a[0] - b[0] || a[1] - b[1]
}

function output(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`${command} cannot be run (${error.message}); install binutils`)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim()}`)
  return stdout
}
