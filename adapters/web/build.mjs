// Builds every script, style sheet and picture of the pages into static/build, each under a name with its content's
// hash, and writes manifest.json: source name to built name. Sources are src/ here and pages/static/ of each package.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const output = join(here, "static", "build");
const SCRIPT_MAX_BYTES = 40_000; // web.md, rule 5: a cheap phone; the sum of a page's scripts is checked by a test
const KINDS = new Set([".js", ".css", ".svg", ".png"]);

const folders = [join(here, "src")];
for (const room of ["adapters", "idp", "credentials", "ledger"]) {
  const folder = resolve(here, "..", "..", room, "pages", "static");
  if (existsSync(folder)) folders.push(folder);
}
const sources = new Map();
for (const folder of folders) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (!statSync(path).isFile() || !KINDS.has(extname(name))) continue;
    if (sources.has(name)) throw new Error(`two source files are called ${name}: ${sources.get(name)} and ${path}`);
    sources.set(name, path);
  }
}

const result = await build({
  entryPoints: [...sources.values()],
  absWorkingDir: here,
  nodePaths: [join(here, "node_modules")],
  outdir: output,
  outbase: here,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2020", "chrome87", "safari14.1", "firefox78"],
  loader: { ".svg": "copy", ".png": "copy" },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
}).catch(() => process.exit(1)); // esbuild has said what and where

const manifest = {};
const built = new Set(["manifest.json", "inputs.sha256"]);
for (const [path, about] of Object.entries(result.metafile.outputs)) {
  const name = basename(path);
  const source = about.entryPoint ?? Object.keys(about.inputs)[0];
  manifest[basename(source)] = name;
  built.add(name);
  if (extname(name) === ".js" && about.bytes > SCRIPT_MAX_BYTES) {
    throw new Error(`${basename(source)} is ${about.bytes} bytes built; a script may have ${SCRIPT_MAX_BYTES}`);
  }
}
for (const name of readdirSync(output)) {
  if (!built.has(name) && statSync(join(output, name)).isFile()) rmSync(join(output, name));
}
const sorted = Object.fromEntries(Object.entries(manifest).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(join(output, "manifest.json"), `${JSON.stringify(sorted, null, 1)}\n`);
for (const [source, name] of Object.entries(sorted)) {
  const bytes = readFileSync(join(output, name));
  console.log(`${source}: ${bytes.length} bytes, ${gzipSync(bytes).length} compressed`);
}
