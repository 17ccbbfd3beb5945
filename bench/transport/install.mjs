// The peers are packages of bench/package.json alone; they are installed on the first run and when the lock changes.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const benchDir = fileURLToPath(new URL('../', import.meta.url))

export function install() {
  const lock = join(benchDir, 'package-lock.json')
  const installed = join(benchDir, 'node_modules/.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  process.stderr.write('bench: installs the packages to compare with (npm ci --prefix bench)\n')
  const args = ['ci', '--prefix', benchDir, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  const { status, error } = spawnSync('npm', args, { stdio: ['ignore', 2, 2] })
  if (error === undefined && status === 0) return
  process.stderr.write('bench: npm ci failed; peers that are not installed are left out\n')
}
