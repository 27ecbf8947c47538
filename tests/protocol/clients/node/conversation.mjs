// The person's browser is the test's: it is told where to go, and answers with the address it came back to.
import * as readline from 'node:readline'

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

export async function browse(address) {
  say({ open: String(address) })
  const { value } = await lines.next()
  if (!value) throw new Error(`the browser did not come back from ${address}`)
  return new URL(value)
}

export async function approve(address) {
  say({ approve: String(address) })
  await lines.next()
}

export function finish(result) {
  say({ result })
  process.exit(0)
}
