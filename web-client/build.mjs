// Builds `dist/`: every script whole in one file with a name that stays, so that any page can name it; pages; types.

import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = dirname(fileURLToPath(import.meta.url));
const { version } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'));

const SCRIPTS = {
  voice: 'src/index.ts',
  widget: 'src/widget.ts',
  worklet: 'src/audio/worklet.ts',
  demo: 'src/demo/demo.ts',
  console: 'console/src/main.ts',
};

rmSync(resolve(root, 'dist'), { recursive: true, force: true });
for (const [name, entry] of Object.entries(SCRIPTS)) {
  await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: name === 'voice' ? 'public' : false,
    define: { __VERSION__: JSON.stringify(version) },
    build: {
      target: 'es2022',
      outDir: 'dist',
      emptyOutDir: false,
      minify: 'esbuild',
      modulePreload: false,
      rollupOptions: {
        input: resolve(root, entry),
        preserveEntrySignatures: 'strict',
        output: { format: 'es', entryFileNames: `${name}.js`, inlineDynamicImports: true },
      },
    },
  });
}
for (const page of ['index.html', 'embed.html']) copyFileSync(resolve(root, page), resolve(root, 'dist', page));
for (const file of ['console.html', 'console.css']) copyFileSync(resolve(root, 'console', file), resolve(root, 'dist', file));
execFileSync(process.execPath, [resolve(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.types.json'], { cwd: root, stdio: 'inherit' });
