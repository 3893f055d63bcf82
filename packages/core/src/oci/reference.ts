/** A name and a tag or digest, wherever it is looked up: the image part of every kind of reference. */
export interface Reference {
  /** The repository: `team/app`. Empty where the place holds one image, as a layout on disk may. */
  readonly name: string
  readonly tag?: string
  readonly digest?: string
}

/** `name:tag` or `name@digest`, for messages. */
export function formatImageName({ name, tag, digest }: Reference): string {
  if (digest !== undefined) return `${name}@${digest}`
  return tag === undefined ? name : `${name}:${tag}`
}
