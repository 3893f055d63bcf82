const HIDDEN = '***'

/** Names of environment variables whose values are secrets. */
const SECRET_NAME = /SECRET|TOKEN|PASSW|_KEY$|CREDENTIAL|CONNECTION_STRING|SAS|AUTH/i

/** Shorter values would hide parts of ordinary words. */
const MIN_SECRET_LENGTH = 8

/** What looks like a secret wherever it stands, with the part that may be shown in front. */
const PATTERNS: readonly RegExp[] = [
  // https://user:password@host
  /(?<shown>\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]+(?=@)/gi,
  // Signed URLs and forms
  /(?<shown>[?&;](?:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|token|access_token|password|secret)=)[^&\s"']+/gi,
  // Headers and settings
  /(?<shown>\b(?:authorization|x-registry-auth|x-amz-security-token)["']?\s*[:=]\s*["']?(?:(?:basic|bearer)\s+)?)[^\s"',]+/gi,
  /(?<shown>\b(?:bearer|basic)\s+)[a-z0-9+/._~=-]{12,}/gi,
  /(?<shown>\b(?:password|passwd|secret|accountkey|sharedaccesssignature|secretaccesskey|sessiontoken)["']?\s*[:=]\s*["']?)[^\s"',;]+/gi,
]

/** The text without what looks like a secret, and without the secrets that the environment holds. */
export function redact(text: string, env: Readonly<Record<string, string | undefined>>): string {
  let clean = text
  for (const [name, value = ''] of Object.entries(env)) {
    const isSecret = SECRET_NAME.test(name) && value.length >= MIN_SECRET_LENGTH && !isPath(value)
    if (isSecret) clean = clean.replaceAll(value, HIDDEN)
  }
  return PATTERNS.reduce((kept, pattern) => kept.replace(pattern, `$<shown>${HIDDEN}`), clean)
}

/** Some such variables name a file or a socket, which is worth showing. */
function isPath(value: string): boolean {
  return value.startsWith('/') || value.startsWith('./') || /^[a-z]:\\/i.test(value)
}
