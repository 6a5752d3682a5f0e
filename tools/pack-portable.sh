#!/usr/bin/env bash
# Packs everything that the report of a card needs on an x86-64 Linux machine with a GPU and its driver, but
# without Node or network: Node, the packages, the Vulkan loader with the libraries that NVIDIA's driver
# needs, and the project itself. Run it in the project's root after `npm install`, on Debian or a derivative.
# Writes .portable/ (under 50 MB); copy that folder.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "the pack is for Linux on x86-64, and so must be the machine that makes it" >&2; exit 1; }
[ -d node_modules/vitest ] || { echo "the packages are not installed: npm install" >&2; exit 1; }
out=.portable
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage="$work/runtime"
mkdir -p "$stage/node_modules" "$stage/lib" "$work/debs"

cp "$(node -p process.execPath)" "$stage/node"
strip --strip-unneeded "$stage/node" 2>/dev/null || echo "no strip here (binutils): the pack is a few MB larger" >&2

# Leaves out other platforms' builds, the packaged software adapter (the pack is for cards), compilers and
# types.
tar -C node_modules -cf - \
  --exclude=webgpu/dist/'darwin-*' --exclude=webgpu/dist/'win32-*' --exclude=webgpu/dist/linux-arm64 \
  --exclude=./@sparticuz --exclude=./typescript --exclude=./@typescript --exclude=./@biomejs --exclude=./@types \
  --exclude=./tar-fs --exclude=./tar-stream --exclude=./'bare-*' --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.mts' \
  --exclude='*.d.cts' --exclude='*-musl' --exclude='*-gnu/*.md' --exclude=./.cache --exclude=./.vite . |
  tar -C "$stage/node_modules" -xf -

# Adds the loaders, for machines whose driver came without them.
libraries=(libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2)
download() { (cd "$work/debs" && apt-get download -qq "${libraries[@]}" >/dev/null 2>&1); }
if download || { apt-get update -qq >/dev/null 2>&1 && download; }; then
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/unpacked"; done
  cp -a "$work"/unpacked/usr/lib/x86_64-linux-gnu/*.so.* "$stage/lib/"
else
  echo "no loaders packed, apt-get has none: the other machine needs a Vulkan loader of its own" >&2
fi

# Packs the working tree, including changes and the generated shaders, and records the commit, because the
# pack has no git.
npm run --silent embed
mkdir -p "$stage/dawngrad"
{ git ls-files --cached --others --exclude-standard; echo src/gpu/shaders.generated.ts; } |
  grep -v '^docs/' | while read -r file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
  tar --null -T - -cf - | tar -C "$stage/dawngrad" -xf -
commit=$(git rev-parse --short HEAD)$(git diff --quiet HEAD || echo ', changed')
printf '%s\n' "$commit" >"$stage/dawngrad/.commit"

rm -rf "$out" && mkdir "$out"
tar -C "$stage" -cf - . | xz -T0 -9 >"$out/runtime.tar.xz"
cp tools/portable-run.sh "$out/run.sh"

size=$(du -sm "$out" | cut -f1)
echo "$out: $size MB"
[ "$size" -lt 50 ] || { echo "the pack should be under 50 MB" >&2; exit 1; }
echo "copy $out/ to the other machine, and run there:  bash .portable/run.sh --minutes 8 --python python3"
