// `npm run bench:transport [-- options]` compares transports; with the name of a program first it runs that one.
import { PROGRAMS } from './options.mjs'

const [word] = process.argv.slice(2)
if (PROGRAMS.includes(word)) {
  process.argv.splice(2, 1)
  await import(`./programs/${word}.mjs`)
} else {
  await import('./compare.mjs')
}
