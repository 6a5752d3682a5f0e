/** Builds the page as a static folder, with the embedded example beside it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Serves `examples/sentiment` at `example/`, and copies it there in a build. */
function example(): Plugin {
  const folder = here('../examples/sentiment');
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return {
    name: 'example',
    configureServer({ middlewares }) {
      middlewares.use('/example', ({ url }, response, next) => {
        const name = names.find((one) => one === url?.slice(1).split('?')[0]);
        if (name === undefined) next();
        else response.end(readFileSync(join(folder, name)));
      });
    },
    generateBundle() {
      for (const name of names)
        this.emitFile({
          type: 'asset',
          fileName: `example/${name}`,
          source: readFileSync(join(folder, name)),
        });
    },
  };
}

export default defineConfig({
  root: here('.'),
  // Any folder of any host.
  base: './',
  resolve: { alias: { dawngrad: here('../src/index.ts') } },
  worker: { format: 'es' },
  plugins: [example()],
  build: { outDir: here('dist'), emptyOutDir: true, target: 'es2022', reportCompressedSize: false },
});
