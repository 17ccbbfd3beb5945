/** `scripts/build.mjs` on a small tree: builds what is stale and only that, and says what a missing compiler means. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ROOT } from './tree.js'

let tree: string

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'skein-build-'))
  for (const path of [
    'scripts/build.mjs',
    'scripts/native-paths.mjs',
    'tsconfig.json',
    'tsconfig.build.json',
    'package.json',
  ]) {
    cpSync(join(ROOT, path), join(tree, path))
  }
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  mkdirSync(join(tree, 'src/cli'), { recursive: true })
  writeFileSync(join(tree, 'src/index.ts'), `export { a } from './a.js'\n`)
  writeFileSync(join(tree, 'src/a.ts'), 'export const a = 1\n')
  writeFileSync(join(tree, 'src/cli/main.ts'), '#!/usr/bin/env node\nexport const main = 1\n')
})

afterEach(() => rmSync(tree, { recursive: true, force: true }))

function build(half: string | undefined, environment: NodeJS.ProcessEnv = {}) {
  const args = ['scripts/build.mjs', ...(half === undefined ? [] : [half])]
  return spawnSync(process.execPath, args, {
    cwd: tree,
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  })
}

function dist(path: string): string {
  return join(tree, 'dist', path)
}

test('TypeScript: builds, does nothing when nothing is stale, and follows the sources', () => {
  expect(build('ts').status).toBe(0)
  expect(statSync(dist('cli/main.js')).mode & 0o111).toBe(0o111)
  const before = statSync(dist('.built')).mtimeMs
  expect(build('ts').status).toBe(0)
  expect(statSync(dist('.built')).mtimeMs).toBe(before)

  rmSync(dist('index.js'))
  expect(build('ts').status).toBe(0)
  expect(existsSync(dist('index.js'))).toBe(true)

  writeFileSync(join(tree, 'src/index.ts'), 'export const b = 2\n')
  rmSync(join(tree, 'src/a.ts'))
  expect(build('ts').status).toBe(0)
  expect(['a.js', 'a.js.map', 'a.d.ts'].filter((path) => existsSync(dist(path)))).toEqual([])
})

test('TypeScript: an error fails the build, and the next one too', () => {
  writeFileSync(join(tree, 'src/a.ts'), `export const a: number = 'text'\n`)
  expect(build('ts').status).not.toBe(0)
  expect(build('ts').status).not.toBe(0)
})

test('native: without a compiler it is skipped, and says what serves instead', () => {
  const { status, stderr } = build('native', {
    PATH: '',
    CXX: '',
    MAKE: '',
    PYTHON: '',
    SKEIN_REQUIRE_NATIVE: '',
  })
  expect(status).toBe(0)
  expect(stderr).toMatch(
    /skipped, not found: a C\+\+ compiler \(g\+\+\), make, python3; transport 'auto' will take 'net'/,
  )
})

test('native: without a compiler it is an error where it is required', () => {
  const { status, stderr } = build('native', {
    PATH: '',
    CXX: '',
    MAKE: '',
    PYTHON: '',
    SKEIN_REQUIRE_NATIVE: '1',
  })
  expect(status).toBe(1)
  expect(stderr).toMatch(/cannot be built, not found: a C\+\+ compiler/)
})

test('an unknown half is refused', () => {
  expect(build('rust').status).toBe(2)
})
