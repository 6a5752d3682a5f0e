#!/usr/bin/env bash
# Runs the report of a card on a machine without Node, from the pack made by tools/pack-portable.sh, with the
# options of `npm run report`. Writes the report to ./report. If the root of a checkout holds .portable/, runs
# that checkout, otherwise the project in the pack. Set DAWNGRAD_RUN to run another file of the project
# instead: DAWNGRAD_RUN=bench/main.ts bash .portable/run.sh --quick
set -euo pipefail
pack=$(cd "$(dirname "$0")" && pwd)
runtime="${TMPDIR:-/tmp}/dawngrad-portable-$(id -u)"
stamp=$(cksum <"$pack/runtime.tar.xz")

if [ "$(cat "$runtime/.stamp" 2>/dev/null)" != "$stamp" ] || [ ! -O "$runtime" ]; then
  rm -rf "$runtime" && mkdir -m 700 "$runtime"
  if command -v xz >/dev/null; then xz -dc "$pack/runtime.tar.xz" | tar -C "$runtime" -xf -
  elif command -v python3 >/dev/null; then python3 -m tarfile -e "$pack/runtime.tar.xz" "$runtime"
  else echo "unpacking takes xz or python3" >&2; exit 1; fi
  chmod +x "$runtime/node" "$runtime"/node_modules/@esbuild/*/bin/esbuild
  echo "$stamp" >"$runtime/.stamp"
fi

# Prefer the system's loader to the packed one.
/sbin/ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1' ||
  export LD_LIBRARY_PATH="$runtime/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# In containers, drivers may be in places that the loaders do not search.
if [ -z "${VK_DRIVER_FILES:-}" ] && ! ls /etc/vulkan/icd.d/*.json /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1; then
  icd=$(find /usr/local /opt -name 'nvidia_icd*.json' 2>/dev/null | head -n 1 || true)
  [ -z "$icd" ] || export VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd"
fi
if [ -z "${__EGL_VENDOR_LIBRARY_FILENAMES:-}" ] && ! ls /usr/share/glvnd/egl_vendor.d/*nvidia*.json >/dev/null 2>&1; then
  egl=$(find /usr/local /opt -path '*egl_vendor.d*' -name '*nvidia*.json' 2>/dev/null | head -n 1 || true)
  [ -z "$egl" ] || export __EGL_VENDOR_LIBRARY_FILENAMES="$egl"
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"

start=$PWD
project="$runtime/dawngrad"
if [ -f "$pack/../bench/report/main.ts" ]; then project=$(cd "$pack/.." && pwd); fi
[ -e "$project/node_modules" ] || ln -s "$runtime/node_modules" "$project/node_modules"
cd "$project"
"$runtime/node" --import tsx tools/embed-shaders.ts
[ -n "${DAWNGRAD_RUN:-}" ] && exec "$runtime/node" --import tsx "$DAWNGRAD_RUN" "$@"
exec "$runtime/node" --import tsx bench/report/main.ts --output "$start/report" "$@"
