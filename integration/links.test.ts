import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const PAGES = globSync('**/*.md', {
  cwd: ROOT,
  exclude: (name) => name === 'node_modules' || name === 'dist' || name === 'coverage',
})

it.each(PAGES)('every link of %s leads somewhere', (page) => {
  const broken = linksOf(readPage(page)).filter((link) => !leadsSomewhere(page, link))
  expect(broken).toEqual([])
})

it.each([
  ['a file that is not there', '[x](nowhere.md)', ['nowhere.md']],
  ['a section that is not there', '[x](README.md#nowhere)\n[y]: #nowhere', 2],
  ['what is outside of the repository', '[x](../outside.md)', ['../outside.md']],
  ['nothing in code', '`[x](nowhere.md)`\n\n```\n[x](nowhere.md)\n```', []],
  ['nothing on the web', '[x](https://example.com/y.md) <https://example.com>', []],
  ['nothing in the root', '[x](README.md#as-a-library) [y](docs)', []],
])('finds %s', (_, text, expected) => {
  const broken = linksOf(text).filter((link) => !leadsSomewhere('README.md', link))
  expect(typeof expected === 'number' ? broken.length : broken).toEqual(expected)
})

it('names sections as GitHub does', () => {
  const text = '# Über `s3lo` & [more](x.md)\n## Same\n## Same\n```\n# no\n```\n<a id="own"></a>'
  expect([...anchorsOf(text)]).toEqual(['über-s3lo--more', 'same', 'same-1', 'own'])
})

function readPage(page: string): string {
  return readFileSync(join(ROOT, page), 'utf8')
}

/** The targets of a page's links and images that are not in code, and not on the web. */
function linksOf(text: string): readonly string[] {
  const prose = withoutBlocks(text).replaceAll(/(`+)[^`].*?\1/gs, '')
  const found = prose.matchAll(/\]\(<?([^\s)>]+)[^)]*\)|^\[[^\]]+\]: *<?([^\s>]+)/gm)
  return [...found]
    .map(([, inline, reference]) => inline ?? reference ?? '')
    .filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link))
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', anchor] = decodeURIComponent(link).split('#')
  const target = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path))
  if (target.startsWith('..') || !existsSync(join(ROOT, target))) return false
  if (anchor === undefined) return true
  return statSync(join(ROOT, target)).isFile() && anchorsOf(readPage(target)).has(anchor)
}

/** What GitHub calls the sections of a page, and what the page itself names with `id`. */
function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  const prose = withoutBlocks(text)
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.*?)[ #]*$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = words.replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, '').replaceAll(/\s/g, '-')
    let name = slug
    for (let count = 1; anchors.has(name); count += 1) name = `${slug}-${count}`
    anchors.add(name)
  }
  for (const [, id = ''] of prose.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id)
  return anchors
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^( *)(```+|~~~+)[^]*?^\1\2/gm, '')
}
