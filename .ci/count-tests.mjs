// Prints "passed failed" of vitest's JSON record: `node count-tests.mjs RECORD EXIT_CODE`.
// A file that could not be loaded has no tests and counts as one failure, and so does whatever else made the run fail.
import { readFileSync } from 'node:fs'

const [record, exitCode] = process.argv.slice(2)
const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(record, 'utf8'))
const broken = testResults.filter(({ status, assertionResults }) => {
  return status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
})
for (const { name, message } of broken) console.error(`${name}: ${message.split('\n')[0]}`)
const failed = numFailedTests + broken.length
console.log(numPassedTests, failed === 0 && exitCode !== '0' ? 1 : failed)
