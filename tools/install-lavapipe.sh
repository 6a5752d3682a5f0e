#!/usr/bin/env bash
# Installs lavapipe, Mesa's Vulkan driver for the CPU, on Debian. It is several times as fast as the
# SwiftShader that npm installs. Dawn needs Mesa 25 or newer, which Debian 12 has only in its backports. Run
# as root. Does nothing if it is already installed.
set -euo pipefail

installed() { vulkaninfo --summary 2>/dev/null | grep -Eq 'llvmpipe' && vulkaninfo --summary 2>/dev/null | grep -Eq 'Mesa (2[5-9]|[3-9][0-9])'; }

if installed; then
  echo "lavapipe is installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "installing lavapipe takes root on a Debian-like system" >&2
  exit 1
fi

. /etc/os-release
from=()
if [ "${VERSION_CODENAME:-}" = bookworm ]; then
  # The mirror in use also carries the backports.
  mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
  [ -n "$mirror" ] || mirror=$(awk '$1 == "deb" && $3 == "bookworm" { print $2; exit }' /etc/apt/sources.list)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
    >/etc/apt/sources.list.d/dawngrad-backports.list
  from=(-t bookworm-backports)
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends libvulkan1 vulkan-tools >/dev/null
apt-get install -y -qq --no-install-recommends "${from[@]}" mesa-vulkan-drivers >/dev/null
installed || { echo "lavapipe was installed, but Vulkan does not list a Mesa of 25 or newer" >&2; exit 1; }
echo "lavapipe is installed"
