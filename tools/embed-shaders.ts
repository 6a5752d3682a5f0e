/** Writes `src/gpu/shaders.generated.ts`: one module with every WGSL source, for any bundler. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A shader without comments, indents and blank lines, which would be a third of a bundle's shaders. */
function condensed(wgsl: string): string {
  const lines = wgsl.split('\n').map((line) => line.replace(/\/\/.*/, '').trim());
  return lines.filter((line) => line !== '').join('\n');
}

/** Embeds all shaders and returns their number. */
export function embedShaders(): number {
  const folder = join(root, 'shaders');
  const names = (readdirSync(folder, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.wgsl'))
    .map((name) => name.replaceAll('\\', '/'))
    .sort();
  const entries = names.map((name) => {
    const key = name.slice(0, -'.wgsl'.length);
    return `  ${JSON.stringify(key)}: ${JSON.stringify(condensed(readFileSync(join(folder, name), 'utf8')))},`;
  });
  const text = `// Generated from shaders/ by tools/embed-shaders.ts; do not edit.\nexport const shaderSources: Readonly<Record<string, string>> = {\n${entries.join('\n')}\n};\n`;
  writeFileSync(join(root, 'src/gpu/shaders.generated.ts'), text);
  return names.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) embedShaders();
