/**
 * Runnable snippets of a Markdown page: fenced js or ts blocks that begin with `// file: name`. A text block fenced as
 * `text output=name` holds what that file prints: its lines must appear in this order, `…` matching anything.
 */
import ts from 'typescript'

export interface Snippet {
  /** As the page names it. */
  readonly file: string
  readonly language: 'js' | 'ts'
  readonly code: string
  /** Lines that must be printed, in order. */
  readonly output: readonly string[]
  /** Line of the page on which the block begins, from 1. */
  readonly line: number
}

interface Fence {
  readonly info: string
  readonly body: readonly string[]
  readonly line: number
}

const FILE_LINE = /^\/\/ file: (\S+)\s*$/
const FILE_NAME = /^[a-z0-9][a-z0-9.-]*\.(mjs|js|mts|ts)$/

/** All runnable snippets, in order. Throws for a block that is named and cannot be run. */
export function snippetsOf(markdown: string): Snippet[] {
  const fences = fencesOf(markdown)
  const outputs = new Map<string, readonly string[]>()
  for (const { info, body } of fences) {
    const name = /^text output=(\S+)$/.exec(info)?.[1]
    if (name !== undefined)
      outputs.set(
        name,
        body.filter((line) => line.trim() !== ''),
      )
  }
  const snippets: Snippet[] = []
  for (const { info, body, line } of fences) {
    const file = FILE_LINE.exec(body[0] ?? '')?.[1]
    if (file === undefined) continue
    if (!FILE_NAME.test(file) || (info !== 'js' && info !== 'ts')) {
      throw new Error(`line ${line}: "${file}" in a block fenced as "${info}" cannot be run`)
    }
    if (snippets.some((known) => known.file === file))
      throw new Error(`line ${line}: a second block named ${file}`)
    snippets.push({ file, language: info, code: body.join('\n'), output: outputs.get(file) ?? [], line })
    outputs.delete(file)
  }
  for (const name of outputs.keys()) throw new Error(`an output names ${name}, and no block does`)
  return snippets
}

function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = []
  let open: { info: string; body: string[]; line: number } | undefined
  for (const [index, text] of markdown.split('\n').entries()) {
    const fence = /^```(.*)$/.exec(text)
    if (fence === null) open?.body.push(text)
    else if (open === undefined) open = { info: fence[1]!.trim(), body: [], line: index + 1 }
    else {
      fences.push(open)
      open = undefined
    }
  }
  return fences
}

/** What is run: TypeScript without its types. */
export function scriptOf({ file, language, code }: Snippet): {
  readonly file: string
  readonly code: string
} {
  if (language === 'js') return { file: file.replace(/\.js$/, '.mjs'), code }
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  })
  return { file: file.replace(/\.m?ts$/, '.mjs'), code: outputText }
}

/** The first expected line that `printed` does not have in its place; undefined when all are there. */
export function missingLine(expected: readonly string[], printed: readonly string[]): string | undefined {
  let from = 0
  for (const line of expected) {
    const pattern = new RegExp(`^${line.split('…').map(escaped).join('.*')}$`)
    const found = printed.findIndex((candidate, i) => i >= from && pattern.test(candidate))
    if (found === -1) return line
    from = found + 1
  }
  return undefined
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
