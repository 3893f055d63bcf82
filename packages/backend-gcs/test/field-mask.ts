/** What the `fields` parameter leaves of an answer: `items(name,size),nextPageToken`. */
export function pickFields(value: unknown, mask: string): unknown {
  if (Array.isArray(value)) return value.map((item) => pickFields(item, mask))
  if (typeof value !== 'object' || value === null) return value
  const picked: Record<string, unknown> = {}
  for (const [name, inner] of membersOf(mask)) {
    const member: unknown = Reflect.get(value, name)
    if (member !== undefined)
      picked[name] = inner === undefined ? member : pickFields(member, inner)
  }
  return picked
}

function* membersOf(mask: string): Generator<[name: string, inner: string | undefined], void> {
  for (let start = 0; start < mask.length;) {
    const end = endOf(mask, start)
    const member = mask.slice(start, end)
    const open = member.indexOf('(')
    if (open === -1) yield [member, undefined]
    else yield [member.slice(0, open), member.slice(open + 1, -1)]
    start = end + 1
  }
}

/** The comma after the member at `start`, not counting those in its parentheses. */
function endOf(mask: string, start: number): number {
  let depth = 0
  for (let place = start; place < mask.length; place += 1) {
    const character = mask[place]
    if (character === '(') depth += 1
    else if (character === ')') depth -= 1
    else if (character === ',' && depth === 0) return place
  }
  return mask.length
}
