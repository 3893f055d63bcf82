/** What people call Docker Hub. */
export const DOCKER_HUB = 'docker.io'

/** Under which `docker login` keeps the credentials of Docker Hub. */
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/'

const NAMES: ReadonlySet<string> = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io'])

/** The one name of a host that has several: every name of Docker Hub is `docker.io`. */
export function canonicalHost(host: string): string {
  const name = host.toLowerCase()
  return NAMES.has(name) ? DOCKER_HUB : name
}

/** How credential helpers and `config.json` name a host. */
export function credentialKey(host: string): string {
  return host === DOCKER_HUB ? DOCKER_HUB_KEY : host
}
