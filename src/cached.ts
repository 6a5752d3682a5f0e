/** Values made once for each key. */
interface Cache<K, V> {
  get(key: K): V | undefined;
  set(key: K, value: V): unknown;
}

/** The value that the cache has for a key; made and kept if it has none. */
export function cached<K, V extends object | string | null>(
  cache: Cache<K, V>,
  key: K,
  make: () => NoInfer<V>,
): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  return made;
}
