import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NATIVE_MISSING } from '../cluster/support.js'
import { BINARY } from './support.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const LOADER = ['errors', 'transport/native/addon', 'transport/native/load']

/** The loader as it lies in an installed package, with binaries of the test's choice. */
describe('the loader', () => {
  let root: string
  let prebuild: string

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'skein-load-'))
    const { default: typescript } = await import('typescript')
    writeFileSync(join(root, 'package.json'), '{ "type": "module" }')
    for (const name of LOADER) {
      const source = typescript.sys.readFile(join(ROOT, 'src', `${name}.ts`))!
      const compilerOptions = { module: typescript.ModuleKind.ESNext, target: typescript.ScriptTarget.ES2023 }
      put(`dist/${name}.js`, typescript.transpileModule(source, { compilerOptions }).outputText)
    }
    const { prebuildPath } = (await import(join(ROOT, 'scripts/native-paths.mjs'))) as {
      prebuildPath(root: string): string
    }
    prebuild = prebuildPath('')
  })
  afterEach(() => {
    rmSync(root, { recursive: true })
  })

  function put(path: string, content: string | { copyOf: string }): void {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    if (typeof content === 'string') writeFileSync(file, content)
    else copyFileSync(content.copyOf, file)
  }

  /** What a fresh process says when it loads the addon from the package at `root`. */
  async function load(): Promise<{ ok?: true; code?: string; message?: string }> {
    const script = `
      const { loadAddon, nativeAvailable } = await import(${JSON.stringify(join(root, 'dist/transport/native/load.js'))})
      try {
        loadAddon()
        console.log(JSON.stringify({ ok: nativeAvailable() }))
      } catch (error) {
        if (nativeAvailable()) throw new Error('available after all')
        console.log(JSON.stringify({ code: error.code, message: error.message }))
      }`
    const args = ['--input-type=module', '--eval', script]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    return JSON.parse(stdout)
  }

  it('says what it looked for and what to run when there is no binary', async () => {
    const { code, message } = await load()
    expect(code).toBe('ERR_SKEIN_ADDON_LOAD')
    for (const part of [
      prebuild,
      'build/Release/skein.node',
      root,
      'npm run build:native',
      process.version,
    ]) {
      expect(message).toContain(part)
    }
  })

  it('says why a binary that is there does not load', async () => {
    put('build/Release/skein.node', 'not a binary')
    const { code, message } = await load()
    expect(code).toBe('ERR_SKEIN_ADDON_LOAD')
    expect(message).toMatch(/skein\.node \(.*(invalid ELF header|file too short|not a mach-o)/i)
  })

  it.skipIf(NATIVE_MISSING)('takes the prebuilt binary, else the one built here', async () => {
    put('build/Release/skein.node', { copyOf: BINARY })
    expect(await load()).toEqual({ ok: true })
    // A prebuilt binary that does not load is not the end.
    put(prebuild, 'not a binary')
    expect(await load()).toEqual({ ok: true })
    rmSync(join(root, 'build'), { recursive: true })
    put(prebuild, { copyOf: BINARY })
    expect(await load()).toEqual({ ok: true })
  })
})
