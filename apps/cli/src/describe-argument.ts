const STORE = 's3://bucket/, gs://bucket/, az://container/ or local://./directory/'
const ANYTHING =
  'an image in a store, ghcr.io/org/app:v1 in a registry, or a transport: s3lo --help'

/** What arguments of these names are, in our commands and in those of plugins. */
const DESCRIPTIONS: Readonly<Record<string, string>> = {
  ref: 'an image in a store: s3://bucket/app:v1, local://./store/app@sha256:…',
  image: 'app:v1 in the Docker engine, docker-archive:FILE, oci-archive:FILE or oci:DIR',
  target: 'name:tag in the Docker engine, docker-archive:FILE, oci-archive:FILE or oci:DIR',
  src: ANYTHING,
  dest: ANYTHING,
  store: STORE,
  'store or image': `${STORE.replace(' or ', ', ')}, or an image in one`,
  'store, image or glob': 's3://bucket/, s3://bucket/app, or a glob of names: s3://bucket/team/*',
  path: 'a file in the image: /etc/os-release',
  dir: 'a directory in the image; without it the root directory',
  file: 'the name of a file in the layer',
  digest: 'sha256:…',
  key: 'a setting: immutable, lifecycle.keep_last, …; without it all of them',
  'key=value': 'a setting and its value: immutable=true, lifecycle.keep_last=10',
  registry: 'the host of a registry: ghcr.io, localhost:5000',
  package: '@s3lo/backend-s3, name@version, ./folder or ./plugin.tgz',
}

/** What an argument is, and its values where its name lists them: `bash|zsh|fish`. */
export function describeArgument(name: string): {
  readonly description: string
  readonly values?: readonly string[]
} {
  const values = name.split('|')
  if (values.length > 1) return { description: 'which one', values }
  return { description: Object.hasOwn(DESCRIPTIONS, name) ? (DESCRIPTIONS[name] ?? '') : '' }
}
