// Generates src/wire/generated from src/wire/schema/*.fbs with Debian's flatc 2.0.8.
// --check compares with what is committed: exit 1 when it differs, 3 when flatc is not installed.
// flatc 2.0.8 writes extensionless imports, which NodeNext rejects; they are rewritten relative and with `.js`.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const FLATC_VERSION = 'flatc version 2.0.8'
const EXIT_DRIFT = 1
const EXIT_FLATC_MISSING = 3

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const schemaDir = join(root, 'src/wire/schema')
const generatedDir = join(root, 'src/wire/generated')

/** Version line of the installed flatc; undefined when there is none. */
function flatcVersion() {
  try {
    return execFileSync('flatc', ['--version'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

/** Every file below `dir`, as sorted paths with forward slashes relative to it. */
function listFiles(dir) {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath.slice(dir.length + 1), entry.name))
    .sort()
}

/** `skein/wire/x.ts` lives at `x.ts`: the namespace that every schema shares is not repeated as folders. */
function targetPath(flatcPath) {
  return flatcPath.replace(/^skein\/wire\//, '')
}

/** Rewrites the imports of one file to relative specifiers that end in `.js`. */
function patchImports(text, flatcPath) {
  const fromDir = posix.dirname(targetPath(flatcPath))
  return text.replace(/from '(\.[^']*)'/g, (_, specifier) => {
    const imported = targetPath(posix.join(posix.dirname(flatcPath), specifier))
    const relative = posix.relative(fromDir, imported)
    return `from '${relative.startsWith('.') ? relative : `./${relative}`}.js'`
  })
}

/** Runs flatc on every schema; returns path -> text as they belong into the generated folder. */
function generate() {
  const out = mkdtempSync(join(tmpdir(), 'skein-wire-'))
  try {
    const schemas = readdirSync(schemaDir)
      .filter((name) => name.endsWith('.fbs'))
      .sort()
    for (const name of schemas) {
      execFileSync('flatc', ['--ts', '-I', schemaDir, '-o', out, join(schemaDir, name)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      })
    }
    const files = new Map()
    for (const path of listFiles(out)) {
      // The per-schema index re-exports by namespace path; imports here name the file they need.
      if (path.endsWith('_generated.ts')) continue
      files.set(targetPath(path), patchImports(readFileSync(join(out, path), 'utf8'), path))
    }
    return files
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

function readGenerated() {
  const files = new Map()
  mkdirSync(generatedDir, { recursive: true })
  for (const path of listFiles(generatedDir)) files.set(path, readFileSync(join(generatedDir, path), 'utf8'))
  return files
}

/** Paths whose text differs between the two sets, or that only one of them has. */
function differences(expected, actual) {
  const paths = new Set([...expected.keys(), ...actual.keys()])
  return [...paths].filter((path) => expected.get(path) !== actual.get(path)).sort()
}

function writeGenerated(files) {
  rmSync(generatedDir, { recursive: true, force: true })
  for (const [path, text] of files) {
    const target = join(generatedDir, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  }
}

function main(args) {
  const version = flatcVersion()
  if (version !== FLATC_VERSION) {
    console.error(
      `generate-wire: needs "${FLATC_VERSION}" on the PATH (apt-get install flatbuffers-compiler), found ${version ?? 'none'}`,
    )
    return EXIT_FLATC_MISSING
  }
  const expected = generate()
  const changed = differences(expected, readGenerated())
  if (args.includes('--check')) {
    for (const path of changed)
      console.error(`generate-wire: src/wire/generated/${path} differs from its schema; run npm run generate`)
    return changed.length === 0 ? 0 : EXIT_DRIFT
  }
  if (changed.length > 0) writeGenerated(expected)
  console.log(`generate-wire: ${expected.size} files, ${changed.length} changed`)
  return 0
}

process.exitCode = main(process.argv.slice(2))
