import type { InstalledPlugin } from '../plugin-store.ts'
import { escapeText } from '@s3lo/views/text'

/** A plugin as a line of text: what it is, where it came from, what it brings or why it does not. */
export function renderPlugin(plugin: InstalledPlugin): string {
  const { name, version, from, error } = plugin
  const title = [name, version, `(${from})`].filter((word) => word !== '').join(' ')
  const brings = error ? `cannot be used: ${error.message}` : offersOf(plugin)
  return `${escapeText(`${title}: ${brings}`)}\n`
}

function offersOf({ schemes, transports, commands }: InstalledPlugin): string {
  const offers = [
    ...schemes.map((scheme) => `${scheme}://`),
    ...transports.map((transport) => `${transport}:`),
    ...commands.map((command) => `s3lo ${command}`),
  ]
  return offers.join(', ') || 'nothing'
}
