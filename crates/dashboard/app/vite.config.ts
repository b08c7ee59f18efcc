import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import type { Plugin } from "vite";

/** Compressed copies beside the files: the gateway serves them as they are. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    writeBundle({ dir }) {
      const walk = (folder: string) => {
        for (const name of readdirSync(folder)) {
          const path = join(folder, name);
          if (statSync(path).isDirectory()) walk(path);
          else if (/\.(js|css|html|svg|json)$/.test(name)) {
            const bytes = readFileSync(path);
            if (bytes.length < 512) continue;
            writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
            const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
            writeFileSync(`${path}.br`, brotliCompressSync(bytes, options));
          }
        }
      };
      if (dir) walk(dir);
    },
  };
}

const gateway = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), compress()],
  build: { target: "es2022", modulePreload: { polyfill: false }, manifest: "manifest.json" },
  server: { proxy: { "/api": gateway, "/mailbox": gateway, "/u": gateway } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"], setupFiles: "src/test-setup.ts" },
});
