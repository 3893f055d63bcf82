/** What a login at a registry did. */
export interface LoginResult {
  readonly host: string
  readonly username: string
  /** A file, or the program of a credential helper. */
  readonly keptIn: string
  /** True where the password lies in a file as it is, in base64. */
  readonly isPlain: boolean
  /** False where the registry asked for no credentials, so that nothing says whether they are right. */
  readonly isChecked: boolean
}

/** What a logout did. */
export interface LogoutResult {
  readonly host: string
  /** Files and helpers that had credentials and have none now. */
  readonly removedFrom: readonly string[]
  /** Files of other tools that still have credentials for the host. */
  readonly remainingIn: readonly string[]
}
