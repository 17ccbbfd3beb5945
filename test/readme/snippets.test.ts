import { describe, expect, it } from 'vitest'
import { missingLine, scriptOf, snippetsOf } from './snippets.js'

const PAGE = `
# Page
\`\`\`js
// file: one.mjs
console.log('one')
\`\`\`
\`\`\`text output=one.mjs
o…e
\`\`\`
\`\`\`ts
// file: two.ts
const two: number = 2
console.log(two)
\`\`\`
\`\`\`js
console.log('not named, not run')
\`\`\`
\`\`\`sh
npm start
\`\`\`
`

describe('snippets', () => {
  it('are the blocks that name a file', () => {
    const snippets = snippetsOf(PAGE)
    expect(snippets.map(({ file, language, line, output }) => ({ file, language, line, output }))).toEqual([
      { file: 'one.mjs', language: 'js', line: 3, output: ['o…e'] },
      { file: 'two.ts', language: 'ts', line: 10, output: [] },
    ])
    expect(snippets[0]?.code).toBe("// file: one.mjs\nconsole.log('one')")
  })

  it('lose their types and keep their names', () => {
    const [one, two] = snippetsOf(PAGE)
    expect(scriptOf(one!).file).toBe('one.mjs')
    expect(scriptOf(two!)).toMatchObject({ file: 'two.mjs', code: expect.stringContaining('const two = 2') })
  })

  it('are refused when they could not be run as they stand', () => {
    const block = (info: string, name: string) => `\`\`\`${info}\n// file: ${name}\n\`\`\`\n`
    expect(() => snippetsOf(block('sh', 'a.mjs'))).toThrow('cannot be run')
    expect(() => snippetsOf(block('js', '../a.mjs'))).toThrow('cannot be run')
    expect(() => snippetsOf(block('js', 'a.mjs') + block('js', 'a.mjs'))).toThrow('second block')
    expect(() => snippetsOf('```text output=a.mjs\nx\n```\n')).toThrow('no block does')
  })

  it('output is compared in order, with room for what varies', () => {
    expect(missingLine(['a', 'c …'], ['a', 'b', 'c 12 ms'])).toBeUndefined()
    expect(missingLine(['c …', 'a'], ['a', 'b', 'c 12 ms'])).toBe('a')
    expect(missingLine(['a.b'], ['axb'])).toBe('a.b')
    expect(missingLine(['a', 'a'], ['a'])).toBe('a')
  })
})
