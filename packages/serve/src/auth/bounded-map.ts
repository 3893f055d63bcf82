/** A map of at most `limit` entries: setting one more drops the one that was set longest ago. */
export function createBoundedMap<K, V>(limit: number): Map<K, V> {
  const map = new Map<K, V>()
  const set = map.set.bind(map)
  map.set = (key, value) => {
    map.delete(key)
    if (map.size >= limit) for (const oldest of map.keys()) if (map.delete(oldest)) break
    return set(key, value)
  }
  return map
}
