/** Patterns of file names: `*` and `?` stand for characters of a name, `**` for folders too. */

export const isPattern = (path: string): boolean => /[*?]/.test(path);

export function globPattern(pattern: string): RegExp {
  const source = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll(/\*\*\/|\*\*|\*|\?/g, (mark) => {
    if (mark === '**/') return '(?:.*/)?';
    if (mark === '**') return '.*';
    return mark === '*' ? '[^/]*' : '[^/]';
  });
  return new RegExp(`^${source}$`);
}
