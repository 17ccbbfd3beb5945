/** The files of the repository, for the tests that hold its rules. Generated and built files are not among them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const SKIPPED = new Set(['node_modules', 'dist', 'build', 'prebuilds', 'coverage', '.git'])
const TEXT = /(\.(ts|mjs|js|json|cc|h|fbs|gyp|md|html|css|yml|yaml|sh)|\/run|\.gitignore)$/

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** Hand-written text files below any of `tops`, or all of them, sorted by path. */
export function sourceFiles(...tops: readonly string[]): readonly SourceFile[] {
  return walk('')
    .filter(
      (path) => TEXT.test(path) && path !== 'package-lock.json' && !path.startsWith('src/wire/generated/'),
    )
    .filter((path) => tops.length === 0 || tops.some((top) => path.startsWith(`${top}/`)))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

function walk(below: string): string[] {
  const entries = readdirSync(join(ROOT, below), { withFileTypes: true })
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(below, entry.name).split(sep).join('/')
      if (SKIPPED.has(entry.name)) return []
      return entry.isDirectory() ? walk(path) : [path]
    })
}

export function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}
