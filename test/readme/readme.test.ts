/** Every runnable block of the README is executed as a reader would: against the built package, under its own name. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingLine, type Snippet, scriptOf, snippetsOf } from './snippets.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SNIPPETS = snippetsOf(readFileSync(join(ROOT, 'README.md'), 'utf8'))
/** Of the process; a snippet that never ends fails here. */
const RUN_TIMEOUT_MS = 60_000

let folder: string

beforeAll(() => {
  if (!existsSync(join(ROOT, 'dist/index.js')))
    throw new Error('dist is missing: run "node scripts/build.mjs" first')
  folder = mkdtempSync(join(tmpdir(), 'skein-readme-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(ROOT, join(folder, 'node_modules/skein'), 'dir')
  for (const snippet of SNIPPETS) {
    const { file, code } = scriptOf(snippet)
    writeFileSync(join(folder, file), code)
  }
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function run(snippet: Snippet): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const { file } = scriptOf(snippet)
  const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), RUN_TIMEOUT_MS)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code, signal] = await once(child, 'close')
  clearTimeout(timer)
  return { code: code ?? signal, stdout, stderr }
}

describe('README.md', () => {
  it('has snippets to run', () => {
    expect(SNIPPETS.length).toBeGreaterThan(0)
  })

  for (const snippet of SNIPPETS) {
    it(`line ${snippet.line}: ${snippet.file} runs to its end`, {
      timeout: RUN_TIMEOUT_MS + 10_000,
    }, async () => {
      const { code, stdout, stderr } = await run(snippet)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(
        missingLine(snippet.output, stdout.split('\n')),
        `not printed, or not in its place:\n${stdout}`,
      ).toBeUndefined()
    })
  }
})
