/** A file stays under 600 lines, a function under 70. */
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { cppFunctions } from './cpp-functions.js'
import { lineCount, type SourceFile, sourceFiles } from './tree.js'

const FILE_LINES_MAX = 600
const FUNCTION_LINES_MAX = 70

const CODE = /\.(ts|mjs|js|cc|h|fbs)$/

interface FunctionSize {
  readonly name: string
  readonly lines: number
}

/** Every function with a body, nested ones too, from its first line to its last. */
function typescriptFunctions({ path, text }: SourceFile): FunctionSize[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const found: FunctionSize[] = []
  const visit = (node: ts.Node): void => {
    if (
      ts.isFunctionLike(node) &&
      'body' in node &&
      node.body !== undefined &&
      !isSuite(node as ts.FunctionLikeDeclaration)
    ) {
      const line = (at: number): number => file.getLineAndCharacterOfPosition(at).line
      const name = node.name?.getText(file) ?? `function at line ${line(node.getStart(file)) + 1}`
      found.push({ name: `${path}: ${name}`, lines: line(node.end) - line(node.getStart(file)) + 1 })
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/** A function that declares tests is a list of them, not something that anybody has to follow. */
function isSuite(node: ts.FunctionLikeDeclaration): boolean {
  const { body } = node
  if (body === undefined || !ts.isBlock(body)) return false
  return body.statements.some((statement) => /^(describe|test|it)\b/.test(statement.getText()))
}

function tooLong(functions: readonly FunctionSize[]): string[] {
  return functions
    .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
    .map(({ name, lines }) => `${name}: ${lines} lines`)
}

test(`no file is longer than ${FILE_LINES_MAX} lines`, () => {
  const files = sourceFiles().filter(({ path }) => CODE.test(path))
  expect(files.length).toBeGreaterThan(50)
  const long = files.filter(({ text }) => lineCount(text) > FILE_LINES_MAX)
  expect(long.map(({ path, text }) => `${path}: ${lineCount(text)} lines`)).toEqual([])
})

describe(`no function is longer than ${FUNCTION_LINES_MAX} lines`, () => {
  test('in TypeScript and scripts', () => {
    const files = sourceFiles().filter(({ path }) => /\.(ts|mjs|js)$/.test(path))
    const functions = files.flatMap(typescriptFunctions)
    expect(functions.length).toBeGreaterThan(200)
    expect(tooLong(functions)).toEqual([])
  })

  test('in C++', () => {
    const functions = sourceFiles('native')
      .filter(({ path }) => /\.(cc|h)$/.test(path))
      .flatMap(({ path, text }) =>
        cppFunctions(text).map(({ name, lines }) => ({ name: `${path}: ${name}`, lines })),
      )
    expect(functions.length).toBeGreaterThan(50)
    expect(tooLong(functions)).toEqual([])
  })

  test('a long one is seen, in both languages', () => {
    const body = 'x()\n'.repeat(FUNCTION_LINES_MAX)
    const script = { path: 'a.ts', text: `class A { m() {\n${body}} }\n` }
    expect(tooLong(typescriptFunctions(script))).toEqual([`a.ts: m: ${FUNCTION_LINES_MAX + 2} lines`])
    const cpp = `namespace a {\nstruct B {\n  int m(int x) const noexcept {\n${body}  }\n};\n}  // namespace a\n`
    expect(tooLong(cppFunctions(cpp))).toEqual([`m: ${FUNCTION_LINES_MAX + 2} lines`])
    const withInitialisers = `B::B(int x) : a_{x}, b_(x), c_{} {\n${body}}\n`
    expect(tooLong(cppFunctions(withInitialisers))).toEqual([`B::B: ${FUNCTION_LINES_MAX + 2} lines`])
  })
})
