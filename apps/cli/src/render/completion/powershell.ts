import { type Place, typedAt, valuedOptions } from './places.ts'

/** A completion script for PowerShell. */
export function powershell(places: readonly Place[]): string {
  const words = places.map((place) => `  $places[${quote(place.path)}] = ${list(typedAt(place))}`)
  const values = valuedOptions(places).map(
    ({ path, name, option }) =>
      `  $values[${quote(`${path} ${name}`)}] = ${list(option.values ?? [])}`,
  )
  return `# PowerShell completion for s3lo: s3lo completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName s3lo -ScriptBlock {
  param($current, $line, $position)
  # Ordinal: -o and -O are two options.
  $places = [System.Collections.Hashtable]::new([System.StringComparer]::Ordinal)
  $values = [System.Collections.Hashtable]::new([System.StringComparer]::Ordinal)
${[...words, ...values].join('\n')}
  $place = ''
  $option = ''
  foreach ($element in ($line.CommandElements | Select-Object -Skip 1)) {
    if ($element.Extent.EndOffset -ge $position) { break }
    if ($option -ne '') { $option = ''; continue }
    $word = "$element"
    if ($word -ceq 'help' -and $place -eq '') { continue }
    if ($word.StartsWith('-')) {
      if ($values.ContainsKey("$place $word")) { $option = $word }
      continue
    }
    $next = "$place $word".Trim()
    if ($places.ContainsKey($next)) { $place = $next }
  }
  $words = if ($option -ne '') { $values["$place $option"] } else { $places[$place] }
  $words | Where-Object { $_ -like "$current*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`
}

function list(words: readonly string[]): string {
  return `@(${words.map(quote).join(', ')})`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
