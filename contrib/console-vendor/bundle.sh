#!/bin/sh
# Bundles the third-party modules of the console, with their licenses, into one file. Needs Node.js and npm.
set -eu
cd "$(dirname "$0")"
target=../../src/stagebook/api/watch/console/assets/vendor
npm ci --silent --no-audit --no-fund --ignore-scripts
node node_modules/esbuild/bin/esbuild vendor.js --bundle --minify --format=esm --target=es2022 --legal-comments=none \
	--outfile=vendor.min.js --log-level=warning
{
	echo "// preact, htm and lean-qr, bundled by \`make console-vendor\`. Licenses: LICENSES.txt beside this file."
	cat vendor.min.js
} > "$target/vendor.js"
: > "$target/LICENSES.txt"
for name in preact htm lean-qr; do
	version=$(node -p "require('./node_modules/$name/package.json').version")
	printf '%s %s\n\n' "$name" "$version" >> "$target/LICENSES.txt"
	cat "node_modules/$name/LICENSE" >> "$target/LICENSES.txt"
	printf '\n' >> "$target/LICENSES.txt"
done
rm -rf node_modules vendor.min.js
