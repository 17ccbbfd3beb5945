/** What must not stand in a file: promises for later, places on one machine, clocks and chance in pure code. */
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { type SourceFile, sourceFiles } from './tree.js'

// Composed, so that this file does not contain what it forbids.
const LATER = new RegExp(
  `\\b(${['TO', 'FIX', 'XX', 'HA'].map((head, i) => head + ['DO', 'ME', 'X', 'CK'][i]).join('|')})\\b`,
)
const MACHINE_PATH = new RegExp(`(?<![\\w.])/(${['root', 'work', 'home/\\w+', 'Users/\\w+'].join('|')})/`)

/** Time and chance are arguments in `src/core`, and in the detectors, which the benchmark replays. */
const PURE = ['src/core', 'src/detectors']
const IMPURE_GLOBALS = new Set([
  'Date',
  'performance',
  'process',
  'Promise',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
  'setTimeout',
])
const IMPURE_MEMBERS = new Set(['Math.random', 'crypto.getRandomValues', 'crypto.randomUUID'])

function lines(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
  )
}

/** Uses of time, timers, promises and chance, by syntax: a comment or a property of that name is none. */
function impurities({ path, text }: SourceFile): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const report = (node: ts.Node, name: string): void => {
    found.push(`${path}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}: ${name}`)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) {
      const name = node.getText(file)
      if (IMPURE_MEMBERS.has(name)) report(node, name)
      visit(node.expression)
      return
    }
    if (ts.isIdentifier(node) && IMPURE_GLOBALS.has(node.text)) report(node, node.text)
    if (ts.isFunctionLike(node) && ts.canHaveModifiers(node)) {
      if (ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword))
        report(node, 'async')
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

test('nothing is put off in a comment', () => {
  expect(lines(sourceFiles(), LATER)).toEqual([])
})

test('no file names a place on one machine', () => {
  expect(lines(sourceFiles(), MACHINE_PATH)).toEqual([])
})

describe('pure code', () => {
  test.each(PURE)('%s takes time and chance as arguments', (folder) => {
    const files = sourceFiles(folder)
    expect(files.length).toBeGreaterThan(0)
    expect(files.flatMap(impurities)).toEqual([])
  })

  test('the rule sees what it forbids, and nothing else', () => {
    const text = `
      // Date.now() in a comment
      const a = Math.random() + Date.now()
      const b = settings.random() + entry.Date
      setTimeout(() => {}, 1)
      async function c() {}
    `
    const seen = impurities({ path: 'x.ts', text }).map((line) => line.split(': ')[1])
    expect(seen).toEqual(['Math.random', 'Date', 'setTimeout', 'async'])
  })
})
