/** Function bodies in C++ by counting braces: enough to measure them, no parser. */

export interface CppFunction {
  readonly name: string
  readonly lines: number
}

type Scope = 'outer' | 'function' | 'inner'

interface Open {
  readonly scope: Scope
  readonly name: string
  readonly line: number
  /** What stood before the brace, back to the last statement. */
  readonly head: string
}

const OUTER = /^\s*(inline\s+)?(namespace\b|extern\s+"C")|\b(class|struct|union|enum)\b[^()]*$/
/** A parameter list, then nothing but qualifiers, a trailing return type or an initialiser list. */
const FUNCTION = /([~\w:]+|operator\s*\S+?)\s*\([^;]*\)[^;=]*$/

/** Functions at namespace or class scope, from the line of their opening brace to that of the closing one. */
export function cppFunctions(source: string): CppFunction[] {
  const text = blank(source)
  const found: CppFunction[] = []
  const open: Open[] = []
  let line = 1
  let head = ''
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string
    if (char === '\n') line++
    if (char === '{') {
      open.push(opened(head, open.at(-1)?.scope ?? 'outer', line))
      head = ''
    } else if (char === '}') {
      const closed = open.pop()
      // `: a_{1}, b_{2} {`: these braces initialise, and the function's own is still to come.
      const initialised = closed?.scope !== 'outer' && /^\s*[,{]/.test(text.slice(i + 1, i + 200))
      if (closed?.scope === 'function' && !initialised)
        found.push({ name: closed.name, lines: line - closed.line + 1 })
      head = initialised ? `${closed?.head} ` : ''
    } else if (char === ';') {
      head = ''
    } else {
      head += char
    }
  }
  if (open.length > 0) throw new Error('braces do not match')
  return found
}

function opened(head: string, around: Scope, line: number): Open {
  if (around !== 'outer') return { scope: 'inner', name: '', line, head }
  if (OUTER.test(head)) return { scope: 'outer', name: '', line, head }
  const name = FUNCTION.exec(head)?.[1]
  return name === undefined
    ? { scope: 'inner', name: '', line, head }
    : { scope: 'function', name, line, head }
}

/** Comments, strings, character literals and preprocessor lines as blanks; line ends are kept. */
function blank(source: string): string {
  const tokens =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:[^\n\\]|\\\n|\\.)*/gm
  return source.replace(tokens, (token) => token.replace(/[^\n]/g, ' '))
}
